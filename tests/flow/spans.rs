//! Whose a handler's own log lines are.

use bytes::Bytes;
use harness::{
    Callback, Handler, Receiver, answer,
    faulty::{Fault, Faults as _, Faulty, Op},
    key, logs, secs, send, spawn_send,
};
use http::{Request, StatusCode};
use http_body_util::Full;
use suno_callback::{DedupStore, Delivery, MemoryStore, SunoCallbackLayer};
use tokio::time::sleep;
use tower::Layer;

/// A handler that logs when it is called, when it goes on, and when it is dropped.
fn logging() -> Handler {
    struct Dropped;
    impl Drop for Dropped {
        fn drop(&mut self) {
            tracing::info!(target: "app", "dropped");
        }
    }
    Handler::new(tower::service_fn(|request: Request<Full<Bytes>>| {
        tracing::info!(target: "app", "called");
        let delivery = request.extensions().get::<Delivery>().cloned().unwrap();
        async move {
            let _dropped = Dropped;
            sleep(secs(2)).await;
            tracing::error!(target: "app", attempt = delivery.attempt(), "went on");
            if delivery.attempt() == 1 {
                return Ok(answer(StatusCode::BAD_GATEWAY));
            }
            Ok(answer(StatusCode::OK))
        }
    }))
}

fn receiver<D: DedupStore>(store: D) -> Receiver<D> {
    SunoCallbackLayer::new(key(), store).layer(logging())
}

/// The lines of the application, each with the spans that it stands in.
fn lines_of_the_app() -> Vec<String> {
    let lines = logs::lines_in_spans();
    lines
        .into_iter()
        .filter(|line| line.contains(" app "))
        .collect()
}

fn assert_about(lines: &[String], words: &[&str]) {
    assert!(!lines.is_empty());
    for line in lines {
        assert_eq!(line.matches("callback{").count(), 1, "{line}");
        words
            .iter()
            .for_each(|word| assert!(line.contains(word), "{word} in {line}"));
    }
}

#[tokio::test(start_paused = true)]
async fn every_line_of_a_handler_says_whose_it_is() {
    logs::capture();
    let receiver = receiver(MemoryStore::default());
    let callback = Callback::success("task-9", "voice");
    assert_eq!(
        send(&receiver, &callback).await.status(),
        StatusCode::BAD_GATEWAY
    );
    let first = lines_of_the_app();
    assert_eq!(first.len(), 3, "called, went on, dropped: {first:?}");
    assert_about(
        &first,
        &[
            r#"task_id="task-9""#,
            "product=voice",
            "stage=success",
            "attempt=1",
        ],
    );
    assert_eq!(send(&receiver, &callback).await.status(), StatusCode::OK);
    let second = lines_of_the_app().split_off(3);
    assert_eq!(second.len(), 3, "{second:?}");
    assert_about(&second, &[r#"task_id="task-9""#, "attempt=2"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlives_its_peer_keeps_its_span() {
    logs::capture();
    let receiver = receiver(MemoryStore::default());
    let sent = spawn_send(&receiver, &Callback::failure("task-10"));
    sleep(secs(1)).await;
    sent.abort();
    assert!(sent.await.unwrap_err().is_cancelled());
    sleep(secs(5)).await;
    let lines = lines_of_the_app();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_about(
        &lines,
        &[r#"task_id="task-10""#, "product=voice", "stage=failure"],
    );
}

/// What the store says while it renews or repeats a commit is about the event, too.
#[tokio::test(start_paused = true)]
async fn heartbeats_and_deferred_commits_stay_in_the_span() {
    logs::capture();
    let store = Faulty::default();
    store.next(Op::Renew, [Fault::Fail]);
    store.next(Op::Commit, [Fault::Fail, Fault::Fail]);
    let handler = Handler::new(tower::service_fn(|_| async {
        sleep(secs(2)).await;
        Ok(answer(StatusCode::OK))
    }));
    let receiver = SunoCallbackLayer::new(key(), store).layer(handler);
    let reply = send(&receiver, &Callback::success("task-11", "voice")).await;
    assert_eq!(reply.status(), StatusCode::OK);
    let lines = logs::lines_in_spans();
    let failures = lines
        .iter()
        .filter(|line| line.contains("the store failed"));
    let failures: Vec<_> = failures.cloned().collect();
    assert_eq!(failures.len(), 3, "{lines:?}");
    assert_about(&failures, &[r#"task_id="task-11""#]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_genuine_makes_no_span_and_hostile_text_is_escaped_in_one() {
    logs::capture();
    let receiver = receiver(MemoryStore::default());
    let mut forged = Callback::success("forged-task", "voice");
    forged.signature = Callback::success("another", "voice").signature;
    assert_eq!(
        send(&receiver, &forged).await.status(),
        StatusCode::UNAUTHORIZED
    );
    let stale = Callback::success("stale-task", "voice").signed_at(1);
    assert_eq!(
        send(&receiver, &stale).await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(logs::spans(), 0, "{:?}", logs::lines_in_spans());

    // An id has no control characters, but may turn the line around.
    let hostile = Callback::success("\u{202e}task\u{2028}", "voice");
    send(&receiver, &hostile).await;
    assert_eq!(logs::spans(), 1);
    let lines = lines_of_the_app();
    assert_about(&lines, &[r#"task_id="\u{202e}task\u{2028}""#]);
}

/// Where the layer is within the span of somebody else, as of a `TraceLayer`, its own stands in it.
#[tokio::test(start_paused = true)]
async fn the_span_stands_in_that_of_the_application() {
    use tracing::Instrument;
    logs::capture();
    let receiver = receiver(MemoryStore::default());
    let callback = Callback::success("task-12", "voice");
    let span = tracing::info_span!("http", request = 7);
    send(&receiver, &callback).instrument(span).await;
    let lines = lines_of_the_app();
    assert_about(&lines, &["http{ request=7}", r#"task_id="task-12""#]);
}
