//! Every layer that tower-http has.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    marker::PhantomData,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use axum::{Router, body::Body, routing::post};
use harness::Callback;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tokio::sync::Notify;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::{
    add_extension::AddExtensionLayer,
    auth::{AddAuthorizationLayer, AsyncAuthorizeRequest, AsyncRequireAuthorizationLayer},
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::CorsLayer,
    csrf::CsrfLayer,
    decompression::{DecompressionLayer, RequestDecompressionLayer},
    follow_redirect::FollowRedirectLayer,
    limit::RequestBodyLimitLayer,
    map_request_body::MapRequestBodyLayer,
    map_response_body::MapResponseBodyLayer,
    metrics::{InFlightRequestsLayer, in_flight_requests::InFlightRequestsCounter},
    normalize_path::NormalizePathLayer,
    on_early_drop::OnEarlyDropLayer,
    propagate_header::PropagateHeaderLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::{
        SetSensitiveHeadersLayer, SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer,
    },
    set_header::{SetRequestHeaderLayer, SetResponseHeaderLayer},
    set_status::SetStatusLayer,
    timeout::{
        RequestBodyDeadlineLayer, RequestBodyTimeoutLayer, ResponseBodyDeadlineLayer,
        ResponseBodyTimeoutLayer, TimeoutLayer,
    },
    trace::TraceLayer,
    validate_request::ValidateRequestHeaderLayer,
};

use crate::{Handler, check, suno};

/// One test a layer: on either side of ours in the three ways of axum and in plain tower.
macro_rules! composes {
    ($($name:ident: $layer:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            macro_rules! app {
                ($place:literal, $mount:expr) => {{
                    let handler = Handler::default();
                    let mount = $mount;
                    check($place, &handler, mount(handler.clone())).await;
                }};
            }
            app!("in front, on a route", |handler: Handler| {
                Router::new().route("/", handler.route().layer::<_, Infallible>(suno()).layer($layer))
            });
            app!("behind, on a route", |handler: Handler| {
                Router::new().route("/", handler.route().layer::<_, Infallible>($layer).layer(suno()))
            });
            app!("in front, on a router", |handler: Handler| {
                Router::new().route("/", handler.route()).layer(suno()).layer($layer)
            });
            app!("behind, on a router", |handler: Handler| {
                Router::new().route("/", handler.route()).layer($layer).layer(suno())
            });
            app!("in front, in a builder", |handler: Handler| {
                let stack = ServiceBuilder::new().layer($layer).layer(suno());
                Router::new().route("/", handler.route().layer(stack))
            });
            app!("behind, in a builder", |handler: Handler| {
                let stack = ServiceBuilder::new().layer(suno()).layer($layer);
                Router::new().route("/", handler.route().layer(stack))
            });
            app!("in front, on a router by a builder", |handler: Handler| {
                let stack = ServiceBuilder::new().layer($layer).layer(suno());
                Router::new().route("/", handler.route()).layer(stack)
            });
            app!("in front, without axum", |handler: Handler| {
                ServiceBuilder::new().layer($layer).layer(suno()).service(handler)
            });
            app!("behind, without axum", |handler: Handler| {
                ServiceBuilder::new().layer(suno()).layer($layer).service(handler)
            });
        }
    )*};
}

const NAME: HeaderName = HeaderName::from_static("x-other");
const VALUE: HeaderValue = HeaderValue::from_static("value");
const LONG: Duration = Duration::from_secs(60);

composes! {
    add_authorization: AddAuthorizationLayer::bearer("token");
    async_require_authorization: AsyncRequireAuthorizationLayer::new(Everybody::default());
    add_extension: AddExtensionLayer::new(7_u8);
    catch_panic: CatchPanicLayer::new();
    compression: CompressionLayer::new();
    cors: CorsLayer::permissive();
    csrf: CsrfLayer::new();
    decompression: DecompressionLayer::new();
    follow_redirect: FollowRedirectLayer::new();
    in_flight_requests: InFlightRequestsLayer::new(InFlightRequestsCounter::new());
    map_request_body: MapRequestBodyLayer::new(Body::new);
    map_response_body: MapResponseBodyLayer::new(Body::new);
    normalize_path: NormalizePathLayer::trim_trailing_slash();
    on_early_drop: OnEarlyDropLayer::builder();
    propagate_header: PropagateHeaderLayer::new(NAME);
    propagate_request_id: PropagateRequestIdLayer::x_request_id();
    request_body_deadline: RequestBodyDeadlineLayer::new(LONG);
    request_body_limit: RequestBodyLimitLayer::new(64 * 1024);
    request_body_timeout: RequestBodyTimeoutLayer::new(LONG);
    request_decompression: RequestDecompressionLayer::new();
    response_body_deadline: ResponseBodyDeadlineLayer::new(LONG);
    response_body_timeout: ResponseBodyTimeoutLayer::new(LONG);
    sensitive_headers: SetSensitiveHeadersLayer::new([header::AUTHORIZATION]);
    sensitive_request_headers: SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION]);
    sensitive_response_headers: SetSensitiveResponseHeadersLayer::new([header::SET_COOKIE]);
    set_request_header: SetRequestHeaderLayer::overriding(NAME, VALUE);
    set_request_id: SetRequestIdLayer::x_request_id(MakeRequestUuid);
    set_response_header: SetResponseHeaderLayer::overriding(NAME, VALUE);
    timeout: TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LONG);
    trace: TraceLayer::new_for_http();
    validate_request: ValidateRequestHeaderLayer::accept("application/json");
}

/// Lets everybody through, whatever the response's body is.
struct Everybody<R>(PhantomData<fn() -> R>);

impl<R> Clone for Everybody<R> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<R> Default for Everybody<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<B, R> AsyncAuthorizeRequest<B> for Everybody<R> {
    type RequestBody = B;
    type ResponseBody = R;
    type Future = Ready<Result<Request<B>, Response<R>>>;

    fn authorize(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(request))
    }
}

/// It says 200 to everything, so it belongs nowhere near a webhook; but it compiles and the events
/// get through.
#[tokio::test]
async fn set_status() {
    let always = SetStatusLayer::new(StatusCode::OK);
    for is_in_front in [true, false] {
        let handler = Handler::default();
        let route = handler.route();
        let route = match is_in_front {
            true => route.layer(ServiceBuilder::new().layer(always).layer(suno())),
            false => route.layer(ServiceBuilder::new().layer(suno()).layer(always)),
        };
        let app = Router::new().route("/", route);
        for calls in [1, if is_in_front { 2 } else { 1 }] {
            let request = Callback::success("genuine", "voice")
                .request()
                .map(Body::new);
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(handler.calls.load(SeqCst), calls);
        }
    }
}

#[tokio::test]
async fn a_decompression_in_front_admits_what_is_415_otherwise() {
    let callback = Callback::success("genuine", "voice");
    let body = callback.body.clone();
    let compress = ServiceBuilder::new()
        .layer(CompressionLayer::new())
        .service_fn(async |_: Request<Body>| {
            Ok::<_, Infallible>(Response::new(Body::from(body.clone())))
        });
    let wish = Request::get("/").header(header::ACCEPT_ENCODING, "gzip");
    let answer = compress
        .oneshot(wish.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip");
    let gzip = answer.into_body().collect().await.unwrap().to_bytes();
    let request = || {
        let mut request = callback.request().map(|_| Body::from(gzip.clone()));
        let encoding = HeaderValue::from_static("gzip");
        request
            .headers_mut()
            .insert(header::CONTENT_ENCODING, encoding);
        request
    };
    let app = |is_in_front: bool| {
        let route = post(async || StatusCode::OK).layer::<_, Infallible>(suno());
        let decompression = RequestDecompressionLayer::new();
        match is_in_front {
            true => Router::new().route("/", route.layer(decompression)),
            false => Router::new().route("/", route),
        }
    };
    let refused = app(false).oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let admitted = app(true).oneshot(request()).await.unwrap();
    assert_eq!(admitted.status(), StatusCode::OK);
}

/// What the layer in front says when it gives up reaches the sender as it is, and the handler runs
/// to its end without it.
#[tokio::test(start_paused = true)]
async fn a_timeout_in_front_answers_with_an_empty_body_and_cuts_no_handler() {
    let done = Arc::new(Notify::new());
    let notify = Arc::clone(&done);
    let slow = post(async move || {
        tokio::time::sleep(Duration::from_secs(8)).await;
        notify.notify_one();
    });
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(5));
    let stack = ServiceBuilder::new().layer(timeout).layer(suno());
    let app = Router::new().route("/", slow.layer(stack));
    let request = || {
        Callback::success("genuine", "voice")
            .request()
            .map(Body::new)
    };
    let response = app.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "");
    done.notified().await;
    let response = app.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}
