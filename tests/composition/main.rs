//! The layer among others: whatever stands in front of it or behind it, on a route, on a router, in
//! a `ServiceBuilder` and around a plain service, a callback is handled once and a forged one never.

mod axum_layers;
mod tower_http_layers;
mod tower_layers;

use std::{
    convert::Infallible,
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use axum::{
    body::Body,
    routing::{MethodRouter, post},
};
use harness::{Callback, key};
use http::{Request, Response, StatusCode};
use suno_callback::{MemoryStore, SunoCallbackLayer, VoiceEvent};
use tower::{Service, ServiceExt};

/// A fresh layer, and a handler that fails at its first call and counts them all.
#[derive(Clone, Default)]
struct Handler {
    calls: Arc<AtomicUsize>,
}

impl Handler {
    fn answer(&self) -> StatusCode {
        match self.calls.fetch_add(1, SeqCst) {
            0 => StatusCode::BAD_GATEWAY,
            _ => StatusCode::OK,
        }
    }

    /// As axum's handler, with the event extracted.
    fn route(&self) -> MethodRouter {
        let this = self.clone();
        post(async move |event: VoiceEvent| {
            assert_eq!(event.task_id().as_str(), "genuine");
            this.answer()
        })
    }
}

/// As a plain service that takes any body.
impl<B> Service<Request<B>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(request.extensions().get::<VoiceEvent>().is_some());
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.answer();
        std::future::ready(Ok(response))
    }
}

fn suno() -> SunoCallbackLayer<MemoryStore> {
    SunoCallbackLayer::new(key(), MemoryStore::default())
}

/// Refuses what is forged, gives back what failed, handles it again, and knows it afterwards.
async fn check<S, B>(place: &str, handler: &Handler, service: S)
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: Debug,
{
    let genuine = Callback::success("genuine", "voice");
    let mut forged = Callback::success("forged", "voice");
    forged.signature = genuine.signature.clone();
    let steps = [
        (&forged, StatusCode::UNAUTHORIZED, 0),
        (&genuine, StatusCode::BAD_GATEWAY, 1),
        (&genuine, StatusCode::OK, 2),
        (&genuine, StatusCode::OK, 2),
    ];
    for (step, (callback, status, calls)) in steps.into_iter().enumerate() {
        let request = callback.request().map(Body::new);
        let response = service.clone().oneshot(request).await.expect(place);
        assert_eq!(response.status(), status, "{place}, step {step}");
        assert_eq!(handler.calls.load(SeqCst), calls, "{place}, step {step}");
    }
}
