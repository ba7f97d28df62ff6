//! What the log shows of hostile input: escaped, cut, and never a secret.

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
        "different results",
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
            "product=voice",
            "stage=success",
            "key=default",
            "waited=",
            "handled=",
            "disposition=accepted",
        ],
        vec![
            "INFO",
            "task-7",
            "product=voice",
            "stage=success",
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

#[tokio::test]
async fn a_conflict_is_an_error_in_the_log_unless_a_hook_hears_of_it() {
    for (layer, is_logged) in [(layer(), true), (layer().on_conflict(|_| {}), false)] {
        logs::capture();
        let probe = Probe::with(&layer);
        probe.send(Callback::success("t", "first").request()).await;
        let second = probe.send(Callback::success("t", "second").request()).await;
        second.assert_received(Disposition::Conflict);
        let lines = logs::lines();
        let errors: Vec<_> = lines.iter().filter(|it| it.starts_with("ERROR")).collect();
        assert_eq!(errors.len(), usize::from(is_logged), "{lines:?}");
        assert!(errors.iter().all(|it| it.contains("different results")));
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
    use suno_callback::testkit::{Intercept, Intercepted, Operation};
    use suno_callback::{AnyStore, MemoryStore, SunoCallbackLayer};
    use tower::{BoxError, Layer, ServiceExt};

    struct Hostile;
    impl Intercept for Hostile {
        async fn intercept<T: Send + 'static>(
            &self,
            _: Operation,
            _: impl Future<Output = Result<T, BoxError>> + Send + 'static,
        ) -> Result<T, BoxError> {
            Err(hostile(10_000).into())
        }
    }
    logs::capture();
    let store = Intercepted::new(MemoryStore::default(), Hostile);
    let layer = SunoCallbackLayer::new(harness::key(), AnyStore::new(store));
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

/// Sends what must be refused, and gives its one line of log.
async fn line_of(
    layer: &harness::probe::ProbeLayer,
    request: http::Request<Full<bytes::Bytes>>,
) -> String {
    let before = logs::lines().len();
    let probe = Probe::with(layer);
    let reply = probe.send(request).await;
    assert!(reply.status.is_client_error(), "{}", reply.status);
    probe.assert_untouched();
    let lines = logs::lines();
    assert_eq!(lines.len(), before + 1, "{lines:?}");
    lines.into_iter().next_back().unwrap()
}

fn assert_hints(line: &str, hint: &str) {
    assert!(
        line.contains("refused") && line.contains(hint),
        "{hint}: {line}"
    );
}

#[tokio::test]
async fn a_refused_header_is_logged_with_its_likely_cause() {
    logs::capture();
    let good = Callback::success("t", "v");
    let (seconds, signature) = (good.timestamp.as_str(), good.signature.as_str());
    let hex = "0123456789abcdef".repeat(4);
    let millis = format!("{seconds}000");
    for (timestamp, signature, hint) in [
        (millis.as_str(), signature, "milliseconds?"),
        (&format!("{seconds}123456"), signature, "microseconds?"),
        (&format!("{seconds}123456789"), signature, "nanoseconds?"),
        (&millis[..11], signature, "milliseconds?"),
        (
            &format!("{seconds}.25"),
            signature,
            "a fraction of a second?",
        ),
        (
            &format!("{seconds}, {seconds}"),
            signature,
            "a gateway joined",
        ),
        (
            "2026-11-26T07:00:00Z",
            signature,
            "a date instead of Unix seconds?",
        ),
        (&format!("\"{seconds}\""), signature, "quotes around it?"),
        (
            seconds,
            &format!("{signature}, {signature}"),
            "a gateway joined",
        ),
        (
            seconds,
            &format!("{signature},{signature}"),
            "a gateway joined",
        ),
        (seconds, &hex, "hexadecimal instead of base64?"),
        (
            seconds,
            &hex.to_uppercase(),
            "hexadecimal instead of base64?",
        ),
        (seconds, &signature[..43], "its padding was cut off?"),
        (
            seconds,
            &format!("sha256={signature}"),
            "a prefix before the base64?",
        ),
        (seconds, &format!("\"{signature}\""), "quotes around it?"),
        (seconds, &signature.replace('=', "%3D"), "percent-encoded?"),
        (
            seconds,
            &format!("-_{}", &signature[2..]),
            "base64url instead of base64?",
        ),
        (
            seconds,
            &format!("a {}", &signature[2..]),
            "decoded to blanks?",
        ),
        (
            seconds,
            &format!("{}==", "A".repeat(86)),
            "SHA-512 instead of SHA-256?",
        ),
        ("1000", signature, "this machine's clock?"),
    ] {
        let callback = Callback {
            timestamp: timestamp.into(),
            signature: signature.into(),
            ..good.clone()
        };
        let line = line_of(&layer(), callback.request()).await;
        assert_hints(&line, hint);
        assert!(!line.contains(&callback.signature), "{line}");
    }
}

#[tokio::test]
async fn a_request_that_a_gateway_or_a_stranger_has_changed_is_logged_as_such() {
    logs::capture();
    let good = Callback::success("t", "v");
    let mut bare = good.request();
    bare.headers_mut().remove("x-webhook-signature");
    assert_hints(
        &line_of(&layer(), bare).await,
        "drops one of the two headers?",
    );
    let mut none = good.request();
    none.headers_mut().clear();
    let line = line_of(&layer(), none).await;
    assert_hints(
        &line,
        "is the webhook key enabled in the account's settings?",
    );
    let mut twice = good.request();
    let copy = twice.headers()["x-webhook-signature"].clone();
    twice.headers_mut().append("x-webhook-signature", copy);
    let line = line_of(&layer(), twice).await;
    assert_hints(&line, "a gateway that adds headers of its own?");
    let mut form = good.request();
    form.headers_mut().insert(
        "content-type",
        HeaderValue::from_static("application/json, application/json"),
    );
    assert_hints(&line_of(&layer(), form).await, "a gateway joined");
}

#[tokio::test]
async fn a_refused_body_is_logged_with_its_likely_cause() {
    logs::capture();
    let whole = Callback::success("t", "v").body;
    let other = whole.replace(r#""msg":"success""#, r#""msg":"t","taskId":"u""#);
    for (signed, body, hint) in [
        ("t", String::new(), "a proxy that drops bodies?"),
        (
            "t",
            whole[..60].into(),
            "cut off: a proxy that limits bodies?",
        ),
        ("t", "<html></html>".into(), "HTML or XML"),
        ("t", "taskId=t&code=200".into(), "a form"),
        ("t", "{\0\"\0".into(), "UTF-16?"),
        ("t", r#"{"code":200}"#.into(), "another sender?"),
        (
            "u",
            other.clone(),
            "signed for one of the ids: did a proxy change the body?",
        ),
        ("v", whole.clone(), "signed for another text of the body"),
        (
            "t",
            whole.replace("\"t\"", "\" t\""),
            "signed for another text of the body",
        ),
        (
            "x",
            whole.clone(),
            "another key, or another account's callback?",
        ),
        ("t", " ".repeat(20_000), "another product's route?"),
    ] {
        let line = line_of(&layer(), Callback::new(signed, body).request()).await;
        assert_hints(&line, hint);
    }
    let forged = Callback {
        signature: "A".repeat(43) + "=",
        ..Callback::success("t", "v")
    };
    let line = line_of(&layer(), forged.request()).await;
    assert_hints(&line, "another key, or another account's callback?");
}

#[tokio::test]
async fn a_url_without_its_secret_is_logged_with_its_likely_cause() {
    logs::capture();
    let secret = suno_callback::UrlSecret::new("f3b1c1a0d2e94c5b8a7f").unwrap();
    let layer = suno_callback::SunoCallbackLayer::unsigned(secret, Default::default());
    let good = Callback::success("t", "v");
    for (uri, hint) in [
        ("/", "a callback URL without the token?"),
        ("/?token=f3b1c1a0d2e94c5b8a7e", "another secret?"),
        ("/?token=f3b1c1a0d2e94c5b8a7f&token=x", "two tokens"),
    ] {
        let mut request = good.request_to(uri);
        request.headers_mut().remove("x-webhook-signature");
        let line = harness_line(&layer, request).await;
        assert_hints(&line, hint);
        assert!(!line.contains("f3b1"), "{line}");
        let line = harness_line(&layer, good.request_to(uri)).await;
        assert_hints(&line, "it is signed");
    }
}

async fn harness_line(
    layer: &suno_callback::SunoCallbackLayer<suno_callback::MemoryStore>,
    request: http::Request<Full<bytes::Bytes>>,
) -> String {
    use tower::{Layer, ServiceExt};
    let before = logs::lines().len();
    let service = layer.layer(harness::accepting(Default::default()));
    assert_eq!(service.oneshot(request).await.unwrap().status(), 401);
    let lines = logs::lines();
    assert_eq!(lines.len(), before + 1, "{lines:?}");
    lines.into_iter().next_back().unwrap()
}

#[tokio::test]
async fn another_product_s_content_is_logged_with_the_route_that_it_belongs_to() {
    logs::capture();
    let probe = Probe::default();
    for (data, product) in [
        (r#""callbackType":"complete","data":[]"#, "music or lyrics"),
        (r#""audioWavUrl":"u""#, "WAV"),
        (r#""vocal_removal_info":{}"#, "stems"),
        (r#""state":"complete","instruments":[]"#, "MIDI"),
        (r#""video_url":"u""#, "video"),
        (r#""images":[]"#, "cover image"),
        (
            r#""state":"success","resultJson":"{\"resultUrls\":[]}""#,
            "job",
        ),
    ] {
        let body = format!(r#"{{"code":200,"data":{{"task_id":"t",{data}}}}}"#);
        probe
            .send(Callback::new("t", body).request())
            .await
            .assert_accepted();
        let line = logs::lines().into_iter().next_back().unwrap();
        let hint = format!("content of {product}: is the URL of another product's route?");
        assert!(
            line.contains("stage=unknown") && line.contains(&hint),
            "{line}"
        );
    }
    probe
        .send(Callback::success("u", "v").request())
        .await
        .assert_accepted();
    let line = logs::lines().into_iter().next_back().unwrap();
    assert!(!line.contains("hint"), "{line}");
}

#[test]
fn a_short_key_is_a_warning() {
    logs::capture();
    suno_callback::SigningKey::new("0123456789abcdef").unwrap();
    assert_eq!(logs::lines().len(), 0);
    suno_callback::SigningKey::new("0123456789abcde").unwrap();
    let lines = logs::lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains("shorter than 16 bytes"),
        "{lines:?}"
    );
    assert!(!lines[0].contains("0123456789"), "{lines:?}");
}
