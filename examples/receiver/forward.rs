//! `--forward URL`: the application is another program, in any language, behind HTTP.
//!
//! Each event is one POST with the bytes that its handler would be given, and with these headers:
//!
//! | header | what it says |
//! |---|---|
//! | `content-type` | `application/json` |
//! | `idempotency-key` | 64 hexadecimal digits: the same in every try of an event, another for every other event |
//! | `x-suno-task-id` | the task |
//! | `x-suno-product` | as on the JSON line |
//! | `x-suno-stage` | `success`, `failure`, `progress`, `inconsistent` or `unknown` |
//! | `x-suno-name` | the provider's own word for that, cut after 256 bytes |
//! | `x-suno-outcome` | of voices alone: their outcome, as on the JSON line |
//! | `x-suno-attempt` | 1 for the first try of the event; more says that effects of an earlier one may exist |
//! | `x-suno-fence` | grows with every try of the event |
//! | `x-suno-trust` | `signed_id`, or `confirmed`: then the body is the provider's record |
//! | `x-suno-via` | `callback`, or `poll` where the provider was asked |
//!
//! Task and name are hostile text: every byte of theirs that is not visible ASCII, and `%`, is
//! percent-encoded (`decodeURIComponent`, `urllib.parse.unquote`). Nothing else of the request goes
//! on: neither the provider's signature nor the query of the URL.
//!
//! The app answers 2xx when it has handled the event. With anything else, or without an answer, it
//! has failed, and the provider tries again.

use std::{any::Any, convert::Infallible, fmt::Write, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, InvalidHeaderValue},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use suno_callback::{Delivery, Product, VoiceEvent, product::Event};
use tokio::{net::TcpStream, time::timeout};
use tower::{Service, service_fn, timeout::Timeout, util::BoxCloneSyncService};

use crate::{
    error::{BoxError, chain},
    handler,
};

/// How long it may take to find the app and to be connected with it.
const CONNECT: Duration = Duration::from_secs(5);

/// When an app that says nothing is asked whether its machine is still there.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How much of an answer is waited for behind its head, so that no app meets a closed connection
/// while it writes, and for how long.
const REST: usize = 64 * 1024;
const REST_TIME: Duration = Duration::from_secs(1);

/// The longest name that is sent on, in bytes: servers take some thousand bytes of headers, and what
/// they refuse would cost the event its tries.
const NAME: usize = 256;

type Connector = BoxCloneSyncService<Uri, TokioIo<TcpStream>, BoxError>;

/// Hands events on to an app. Clones share everything.
#[derive(Clone)]
pub struct Forward {
    client: Client<Connector, Full<Bytes>>,
    app: Uri,
}

impl Forward {
    pub fn to(url: &str) -> Result<Self, BoxError> {
        let app = checked(url).map_err(|why| format!("--forward {url:?}: {why}"))?;
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEPALIVE));
        http.set_keepalive_interval(Some(KEEPALIVE));
        http.set_keepalive_retries(Some(3));
        let connector = Connector::new(Timeout::new(http, CONNECT));
        // A connection for each event: one that was kept may be the one that the app just closes,
        // and that would cost a try.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self { client, app })
    }

    /// The app as the inner service of a layer. It may take as long as the layer lets a handler run.
    pub fn service<E: Event>(
        &self,
    ) -> impl Service<
        Request<Full<Bytes>>,
        Response = Response,
        Error = Infallible,
        Future = impl Future<Output = Result<Response, Infallible>> + Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static {
        let this = self.clone();
        service_fn(move |request: Request<Full<Bytes>>| {
            let this = this.clone();
            async move { Ok(this.hand_on::<E>(request).await) }
        })
    }

    /// The app's answer: its status, and nothing else that could tell the provider about it.
    async fn hand_on<E: Event>(&self, request: Request<Full<Bytes>>) -> Response {
        let (head, body) = request.into_parts();
        let (Some(event), Some(delivery)) = (
            head.extensions.get::<E>(),
            head.extensions.get::<Delivery>(),
        ) else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let task_id = event.task_id().as_str();
        let answer = self.ask(event, delivery, body).await;
        let status = answer.unwrap_or_else(|error| {
            tracing::warn!(task_id, error = chain(&*error), "the app has not answered");
            StatusCode::SERVICE_UNAVAILABLE
        });
        if !status.is_success() {
            let attempt = delivery.attempt();
            tracing::warn!(task_id, attempt, %status, "the app has not handled an event");
        }
        Response::builder()
            .status(status)
            .body(Body::empty())
            .unwrap_or_default()
    }

    async fn ask<E: Event>(
        &self,
        event: &E,
        delivery: &Delivery,
        body: Full<Bytes>,
    ) -> Result<StatusCode, BoxError> {
        let mut request = Request::post(&self.app).body(body)?;
        for (name, value) in facts(event, delivery) {
            request.headers_mut().insert(name, value?);
        }
        handler::print(event, delivery)?;
        let response = self.client.request(request).await?;
        let status = response.status();
        rest_of(response.into_body()).await;
        Ok(status)
    }
}

/// What was handed on is decided: an app that fails behind the head of its answer has answered.
async fn rest_of(body: Incoming) {
    let _ = timeout(REST_TIME, Limited::new(body, REST).collect()).await;
}

type Fact = (HeaderName, Result<HeaderValue, InvalidHeaderValue>);

fn facts<E: Event>(event: &E, delivery: &Delivery) -> Vec<Fact> {
    let named = |name| HeaderName::from_static(name);
    let word = |name, text: &str| (named(name), HeaderValue::from_str(text));
    let number = |name, number: i64| (named(name), Ok(HeaderValue::from(number)));
    let mut facts = vec![
        (CONTENT_TYPE, HeaderValue::from_str("application/json")),
        word("idempotency-key", &hex(delivery.slot().as_bytes())),
        word("x-suno-task-id", &encoded(event.task_id().as_str())),
        word("x-suno-product", event.product().name()),
        word("x-suno-stage", event.stage().as_str()),
        word("x-suno-name", &encoded(cut(event.name()))),
        number("x-suno-attempt", delivery.attempt().into()),
        number("x-suno-fence", delivery.fence()),
        word("x-suno-trust", delivery.trust().as_str()),
        word("x-suno-via", delivery.via().as_str()),
    ];
    if let Some(voice) = (event as &dyn Any).downcast_ref::<VoiceEvent>() {
        facts.push(word("x-suno-outcome", voice.outcome().as_str()));
    }
    facts
}

fn cut(name: &str) -> &str {
    let end = (0..=NAME).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}

/// Visible ASCII, whatever the text is.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `url` where it is an address that a POST can go to; otherwise what to change.
fn checked(url: &str) -> Result<Uri, &'static str> {
    let uri = url.parse::<Uri>();
    let uri = uri.map_err(|_| "this is no URL; say http://127.0.0.1:3000/suno, for example")?;
    let authority = uri.authority().map_or("", |it| it.as_str());
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return Err(
                "an app is spoken to by http:// alone: name it on this machine or in its own \
                        network, or a proxy there that speaks https://",
            );
        }
        _ => return Err("it starts with http://, as in http://127.0.0.1:3000/suno"),
    }
    match uri.host() {
        None | Some("") => Err("it names no host"),
        _ if authority.contains('@') => {
            Err("leave out the user; let the app be reached by the receiver alone")
        }
        _ if url.contains('#') => Err("leave out # and the rest"),
        _ => Ok(uri),
    }
}
