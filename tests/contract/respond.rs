//! A request that is answered by a function of its event.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use harness::{Callback, key};
use http::StatusCode;
use http_body_util::BodyExt;
use suno_callback::{Disposition, MemoryStore, Rejection, SunoCallbackLayer, VoiceEvent};

/// A layer whose handler counts its runs and ends in `handled`.
struct Server {
    layer: SunoCallbackLayer<MemoryStore>,
    runs: Arc<AtomicUsize>,
}

impl Server {
    fn new() -> Self {
        Self {
            layer: SunoCallbackLayer::new(key(), MemoryStore::default()),
            runs: Arc::default(),
        }
    }

    async fn answers(
        &self,
        callback: &Callback,
        handled: Result<(), StatusCode>,
    ) -> http::Response<http_body_util::Full<bytes::Bytes>> {
        let runs = Arc::clone(&self.runs);
        let handler = move |event: VoiceEvent, delivery: suno_callback::Delivery| async move {
            assert_eq!(event.task_id(), "task");
            let run = runs.fetch_add(1, SeqCst) + 1;
            assert_eq!(usize::try_from(delivery.attempt()).unwrap(), run);
            handled
        };
        self.layer.respond(callback.request(), handler).await
    }
}

#[tokio::test]
async fn each_request_of_one_layer_is_answered_for_all_of_them() {
    let (server, callback) = (Server::new(), Callback::success("task", "voice"));
    let first = server.answers(&callback, Ok(())).await;
    assert_eq!(first.status(), StatusCode::OK);
    let twin = server.answers(&callback, Ok(())).await;
    assert_eq!(twin.status(), StatusCode::OK);
    assert_eq!(twin.extensions().get(), Some(&Disposition::Duplicate));
    assert_eq!(server.runs.load(SeqCst), 1);
}

#[tokio::test]
async fn a_refusal_has_its_status_its_reason_and_its_body() {
    let (server, mut callback) = (Server::new(), Callback::success("task", "voice"));
    callback.task_id = "another".into();
    callback.signature = key().sign("another", 0);
    let refused = server.answers(&callback, Ok(())).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.extensions().get(), Some(&Rejection::SignatureWrong));
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"{"error":"unauthorized"}"#);
    assert_eq!(server.runs.load(SeqCst), 0);
}

/// Whatever its status says: 200 would end the tries of an event that nobody has handled.
#[tokio::test]
async fn an_error_of_the_handler_is_sent_again() {
    let (server, callback) = (Server::new(), Callback::success("task", "voice"));
    for (error, status) in [
        (StatusCode::CONFLICT, StatusCode::CONFLICT),
        (StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR),
        (StatusCode::CREATED, StatusCode::INTERNAL_SERVER_ERROR),
        (StatusCode::FOUND, StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        let failed = server.answers(&callback, Err(error)).await;
        assert_eq!(failed.status(), status, "{error}");
    }
    let handled = server.answers(&callback, Ok(())).await;
    assert_eq!(handled.status(), StatusCode::OK);
    assert_eq!(server.runs.load(SeqCst), 5);
}
