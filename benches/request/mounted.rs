//! The layer, and nothing, in the three places where it can be mounted.

use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
    routing::post,
};
use bytes::Bytes;
use http_body_util::Full;
use suno_callback::{
    MemoryStore, SigningKey, SunoCallbackLayer, VoiceEvent, VoiceOutcome, product::Product,
};
use tower::{Layer, Service, layer::util::Identity};

use crate::template::KEY;

type Reply = Result<Response<Full<Bytes>>, Infallible>;

pub async fn bare(_: Request<Full<Bytes>>) -> Reply {
    Ok(Response::new(Full::default()))
}

async fn with_event(request: Request<Full<Bytes>>) -> Reply {
    let event = request.extensions().get::<VoiceEvent>().expect("an event");
    assert!(matches!(event.outcome(), VoiceOutcome::Ready(_)));
    Ok(Response::new(Full::default()))
}

async fn extracted(event: VoiceEvent) {
    assert!(matches!(event.outcome(), VoiceOutcome::Ready(_)));
}

fn layer() -> SunoCallbackLayer<MemoryStore> {
    SunoCallbackLayer::new(SigningKey::new(KEY).expect("a key"), MemoryStore::default())
}

/// In plain tower.
pub fn in_tower() -> impl Service<Request<Full<Bytes>>, Error = Infallible> {
    layer().layer(tower::service_fn(with_event))
}

/// In plain tower, for another product.
pub fn receiving<P: Product>(product: P) -> impl Service<Request<Full<Bytes>>, Error = Infallible> {
    layer().receives(product).layer(tower::service_fn(bare))
}

pub fn bare_router() -> Router {
    Router::new()
        .route("/voice", post(async || {}))
        .with_state(())
}

/// What axum asks for any layer at a route: a service in a box more, cloned for each request.
pub fn nothing_at_a_route() -> Router {
    Router::new()
        .route("/voice", post(async || {}).layer(Identity::new()))
        .with_state(())
}

/// At a route, as the README has it.
pub fn at_a_route() -> Router {
    Router::new()
        .route("/voice", post(extracted).layer(layer()))
        .with_state(())
}

/// Around a whole router, which is called only for what is handed over.
pub fn around_a_router() -> impl Service<Request<Body>, Error = Infallible> {
    let inner = Router::new().route("/voice", post(extracted));
    layer().layer(inner)
}
