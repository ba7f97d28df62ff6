//! Layers of tower that make readiness and errors of their own.

use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};

use axum::{Router, body::Body, error_handling::HandleErrorLayer};
use harness::Callback;
use http::{Request, Response, StatusCode};
use tokio::{sync::Semaphore, time::Instant};
use tower::{
    ServiceBuilder, ServiceExt,
    buffer::BufferLayer,
    limit::{ConcurrencyLimitLayer, RateLimitLayer},
    load_shed::{LoadShedLayer, error::Overloaded},
    service_fn,
    timeout::{TimeoutLayer, error::Elapsed},
};

use crate::{Handler, check, suno};

async fn unavailable<E>(_: E) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

/// One test a stack of layers: on either side of ours, on a route of axum, which asks for a
/// `HandleErrorLayer` in front of what can fail, and in plain tower.
macro_rules! composes {
    ($($name:ident: $($layer:expr),+;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let handler = Handler::default();
            let stack = ServiceBuilder::new()
                .layer(HandleErrorLayer::new(unavailable))
                $(.layer($layer))+
                .layer(suno());
            let app = Router::new().route("/", handler.route().layer(stack));
            check("in front, on a route", &handler, app).await;

            let handler = Handler::default();
            let stack = ServiceBuilder::new()
                .layer(HandleErrorLayer::new(unavailable))
                .layer(suno())
                $(.layer($layer))+;
            let app = Router::new().route("/", handler.route().layer(stack));
            check("behind, on a route", &handler, app).await;

            let handler = Handler::default();
            let stack = ServiceBuilder::new()
                .layer(HandleErrorLayer::new(unavailable))
                .layer(suno())
                $(.layer($layer))+;
            let app = Router::new().route("/", handler.route()).layer(stack);
            check("behind, on a router", &handler, app).await;

            let handler = Handler::default();
            let stack = ServiceBuilder::new()$(.layer($layer))+.layer(suno());
            check("in front, without axum", &handler, stack.service(handler.clone())).await;

            let handler = Handler::default();
            let stack = ServiceBuilder::new().layer(suno())$(.layer($layer))+;
            check("behind, without axum", &handler, stack.service(handler.clone())).await;
        }
    )*};
}

/// What a layer behind answers in the handler's place is a failure of the handler's: the event is
/// free again, and the next try is handled.
#[tokio::test(start_paused = true)]
async fn what_a_timeout_or_a_load_shed_behind_refuses_comes_again() {
    let callback = |task| Callback::success(task, "voice").request();
    let first = Arc::new(Semaphore::new(1));
    let hanging_once = service_fn(move |_: Request<_>| {
        let is_first = first.try_acquire().is_ok_and(|it| {
            it.forget();
            true
        });
        async move {
            if is_first {
                pending::<()>().await;
            }
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    });
    let service = ServiceBuilder::new()
        .layer(suno())
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        .service(hanging_once);
    let refused = service.clone().oneshot(callback("slow")).await;
    assert!(refused.unwrap_err().is::<Elapsed>());
    let began = Instant::now();
    let again = service.oneshot(callback("slow")).await.unwrap();
    assert_eq!(again.status(), StatusCode::OK);
    // Without a wait for the end of any lease.
    assert_eq!(began.elapsed(), Duration::ZERO);

    let gate = Arc::new(Semaphore::new(0));
    let gated = service_fn({
        let gate = Arc::clone(&gate);
        move |_: Request<_>| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        }
    });
    let service = ServiceBuilder::new()
        .layer(suno())
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(gated);
    let running = tokio::spawn(service.clone().oneshot(callback("running")));
    tokio::task::yield_now().await;
    let refused = service.clone().oneshot(callback("shed")).await;
    assert!(refused.unwrap_err().is::<Overloaded>());
    gate.add_permits(2);
    let running = running.await.unwrap().unwrap();
    assert_eq!(running.status(), StatusCode::OK);
    let again = service.oneshot(callback("shed")).await.unwrap();
    assert_eq!(again.status(), StatusCode::OK);
}

const LONG: Duration = Duration::from_secs(60);

composes! {
    buffer: BufferLayer::new(8);
    concurrency_limit: ConcurrencyLimitLayer::new(1);
    load_shed: LoadShedLayer::new(), ConcurrencyLimitLayer::new(1);
    rate_limit: BufferLayer::new(8), RateLimitLayer::new(100, LONG);
    timeout: TimeoutLayer::new(LONG);
}
