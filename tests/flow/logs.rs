//! What the log shows of hostile input: escaped, cut, and never a secret.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use http_body_util::Full;
use suno_callback::{Disposition, Rejection, VoiceEvent};

use harness::{
    Callback, KEY, answer, logs,
    probe::{Probe, layer},
};

const HOSTILE: &str = "\r\nINFO all is well\u{1b}[31m\u{202e}\u{2028}\u{0}\u{7f}\u{9b}2J";

fn hostile(len: usize) -> String {
    HOSTILE.repeat(len / HOSTILE.len() + 1)
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Control characters, and what turns or breaks a line on a screen.
fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

fn assert_harmless(text: &str) {
    assert!(!text.contains(is_harmful), "{text:?}");
    assert!(text.len() < 4096, "{} bytes: {text:?}", text.len());
}

#[tokio::test]
async fn f64_a_log_line_cannot_be_forged_and_holds_no_secret() {
    logs::capture();
    let probe = Probe::answering(&layer(), |request| {
        let event: &VoiceEvent = request.extensions().get().unwrap();
        if event.error_message().is_some() {
            panic!("{}", hostile(10_000));
        }
        Ok(answer(StatusCode::OK))
    });
    // An id has no control characters, but may turn the line around and be long.
    let id = format!("\u{202e}{}\u{2028}", "x".repeat(240));
    let success = |voice: &str| {
        let body = format!(
            r#"{{"code":200,"msg":"a-mark-in-the-body","data":{{"taskId":{},"voiceId":{},"status":"success"}}}}"#,
            json(&id),
            json(voice)
        );
        Callback::new(&id, body)
    };
    let failure = Callback::new(
        &id,
        format!(
            r#"{{"code":400,"data":{{"taskId":{},"status":{},"errorMessage":{}}}}}"#,
            json(&id),
            json(&hostile(2_000)),
            json(&hostile(2_000))
        ),
    );
    let first = success("first");
    let second = success(&hostile(8_000));
    probe
        .send(failure.request())
        .await
        .assert_refusal(Rejection::Panicked);
    probe.send(first.request()).await.assert_accepted();
    probe
        .send(first.request())
        .await
        .assert_received(Disposition::Duplicate);
    probe
        .send(second.request())
        .await
        .assert_received(Disposition::Conflict);
    let mut broken = first.request();
    let header = HeaderValue::from_bytes("\u{202e}ä\t garbage".as_bytes()).unwrap();
    broken.headers_mut().insert("x-webhook-signature", header);
    probe
        .send(broken)
        .await
        .assert_refusal(Rejection::SignatureMalformed);
    let garbage = first
        .request()
        .map(|_| Full::<bytes::Bytes>::from(hostile(9_000)));
    assert_eq!(probe.send(garbage).await.status, StatusCode::BAD_REQUEST);

    let lines = logs::lines();
    let all = lines.join("|");
    for word in [
        "panicked",
        "handled",
        "received",
        "refused",
        "different voices",
    ] {
        assert!(all.contains(word), "{word} is logged: {all}");
    }
    lines.iter().for_each(|line| assert_harmless(line));
    let secrets = [
        KEY,
        "a-mark-in-the-body",
        "garbage",
        &first.signature,
        &second.signature,
        &failure.signature,
    ];
    for secret in secrets {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[tokio::test]
async fn one_event_is_logged_per_request_with_what_an_operator_needs() {
    logs::capture();
    let probe = Probe::default();
    let callback = Callback::success("task-7", "v");
    probe.send(callback.request()).await;
    probe.send(callback.request()).await;
    let stale = Callback::success("task-8", "v").signed_at(1_000);
    probe.send(stale.request()).await;
    let lines = logs::lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, words) in lines.iter().zip([
        vec![
            "INFO",
            "task-7",
            "kind=generate",
            "outcome=ready",
            "key=default",
            "waited=",
            "handled=",
            "disposition=accepted",
        ],
        vec![
            "INFO",
            "task-7",
            "kind=generate",
            "outcome=ready",
            "key=default",
            "waited=",
            "disposition=duplicate",
        ],
        vec!["WARN", "status=401", "reason=stale by "],
    ]) {
        for word in words {
            assert!(line.contains(word), "{word} in {line}");
        }
    }
}

#[test]
fn f64_debug_of_an_event_is_escaped_and_cut() {
    logs::capture();
    let long = hostile(10_000);
    let (id, text) = (format!("\u{202e}{}", "i".repeat(200)), json(&long));
    let bodies = [
        format!(
            r#"{{"code":200,"data":{{"taskId":{},"voiceId":{text},"status":"success"}}}}"#,
            json(&id)
        ),
        format!(
            r#"{{"code":200,"data":{{"taskId":{},"validateInfo":{text},"status":"wait_validating"}}}}"#,
            json(&id)
        ),
        format!(
            r#"{{"code":500,"data":{{"taskId":{},"errorMessage":{text},"status":"fail"}}}}"#,
            json(&id)
        ),
        format!(
            r#"{{"code":200,"data":{{"taskId":{},"status":{text}}}}}"#,
            json(&id)
        ),
    ];
    for body in bodies {
        let event = VoiceEvent::parse(Default::default(), &body).unwrap();
        assert_harmless(&format!("{event:?}"));
        assert_harmless(&format!("{:?}", event.outcome()));
        assert_harmless(&format!("{:?} {:?}", event.status(), event.task_id()));
        assert_harmless(&format!("{:?}", event.voice_id()));
    }
}

#[tokio::test(start_paused = true)]
async fn f64_an_error_of_the_store_is_escaped_and_cut() {
    use suno_callback::{AnyStore, SunoCallbackLayer, store::*};
    use tower::{Layer, ServiceExt};

    struct Hostile;
    impl DedupStore for Hostile {
        type Error = String;

        async fn peek(&self, _: &SlotKey) -> Result<Option<Record>, String> {
            Err(hostile(10_000))
        }
        async fn claim(&self, _: &SlotKey, _: Owner, _: Duration) -> Result<Claim, String> {
            Err(hostile(10_000))
        }
        async fn renew(&self, _: &SlotKey, _: &Held, _: Duration) -> Result<Settled, String> {
            Err(hostile(10_000))
        }
        async fn commit(
            &self,
            _: &SlotKey,
            _: &Held,
            _: &Record,
            _: Duration,
        ) -> Result<Settled, String> {
            Err(hostile(10_000))
        }
        async fn release(&self, _: &SlotKey, _: &Held) -> Result<Settled, String> {
            Err(hostile(10_000))
        }
    }
    logs::capture();
    let layer = SunoCallbackLayer::new(harness::key(), AnyStore::new(Hostile));
    let service = layer.layer(harness::accepting(Default::default()));
    let response = service
        .oneshot(Callback::failure("t").request())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let lines = logs::lines();
    assert!(
        lines.iter().any(|line| line.contains("the store failed")),
        "{lines:?}"
    );
    lines.iter().for_each(|line| assert_harmless(line));
}
