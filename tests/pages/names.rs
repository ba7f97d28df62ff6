//! Names and statuses.

use std::collections::BTreeSet;

use suno_callback::{
    CallbackKind, Disposition, InvalidEvent, Rejection, TaskId, Trust, Via, VoiceEvent,
    product::{Music, Product, Stage, Wav},
};

use crate::text::{members, names_of};

const REJECTIONS: [Rejection; 27] = [
    Rejection::ShuttingDown,
    Rejection::Method,
    Rejection::ContentType,
    Rejection::ContentEncoding,
    Rejection::HeaderMissing,
    Rejection::HeaderRepeated,
    Rejection::TimestampMalformed,
    Rejection::SignatureMalformed,
    Rejection::Stale { late_by: 1 },
    Rejection::FromTheFuture { early_by: 1 },
    Rejection::ClockUnusable,
    Rejection::UrlSecretWrong,
    Rejection::BodyTooLarge,
    Rejection::BodyTooSlow,
    Rejection::BodyBroken,
    Rejection::InvalidEvent(InvalidEvent::NotJson),
    Rejection::SignatureWrong,
    Rejection::TooManyWaiters,
    Rejection::TooManyVariants,
    Rejection::StillInFlight,
    Rejection::StoreUnavailable,
    Rejection::Unconfirmed,
    Rejection::StillRunning,
    Rejection::RanTooLong,
    Rejection::Aborted,
    Rejection::Panicked,
    Rejection::MountedTwice,
];

/// `TooManyWaiters` is `too_many_waiters`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (at, char) in name.char_indices() {
        if char.is_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.extend(char.to_lowercase());
    }
    snake
}

/// As metrics are labelled: a dashboard should survive an update.
#[test]
fn each_rejection_has_the_status_that_its_documentation_begins_with_and_its_own_name() {
    let documented = members("src/reply/rejection.rs", "pub enum Rejection {");
    assert_eq!(documented.len(), REJECTIONS.len());
    for ((name, said), rejection) in documented.into_iter().zip(REJECTIONS) {
        let debug = format!("{rejection:?}");
        assert!(debug.starts_with(&name), "{name} is {debug}");
        let status = rejection.status();
        assert!(
            said.starts_with(&format!("{}: ", status.as_str())),
            "{name}"
        );
        if !matches!(rejection, Rejection::InvalidEvent(_)) {
            assert_eq!(rejection.as_str(), snake(&name));
        }
    }
}

#[test]
fn each_reason_why_a_body_is_no_event_has_its_own_name() {
    let reasons = [
        InvalidEvent::NotJson,
        InvalidEvent::NoTaskId,
        InvalidEvent::TaskIdsDiffer,
        InvalidEvent::RepeatedKey,
        InvalidEvent::TaskIdOutsideGrammar,
    ];
    let documented = members("src/event/invalid.rs", "pub enum InvalidEvent {");
    assert_eq!(documented.len(), reasons.len());
    for ((name, _), reason) in documented.into_iter().zip(reasons) {
        assert_eq!(Rejection::InvalidEvent(reason).as_str(), snake(&name));
    }
}

#[test]
fn all_dispositions_but_a_failed_handler_s_are_documented_as_200_and_have_their_own_name() {
    let dispositions = [
        Disposition::Accepted,
        Disposition::CommitDeferred,
        Disposition::ClaimLost,
        Disposition::Duplicate,
        Disposition::Late,
        Disposition::Conflict,
        Disposition::HandlerFailed,
    ];
    let documented = members("src/reply/disposition.rs", "pub enum Disposition {");
    assert_eq!(documented.len(), dispositions.len());
    let mut names = BTreeSet::new();
    for ((name, said), disposition) in documented.into_iter().zip(dispositions) {
        let is_received = disposition != Disposition::HandlerFailed;
        assert_eq!(said.starts_with("200: "), is_received, "{name}");
        assert_eq!(disposition.as_str(), snake(&name));
        names.insert(disposition.as_str());
    }
    assert!(REJECTIONS.iter().all(|it| names.insert(it.as_str())));
}

#[test]
fn each_stage_each_trust_each_way_and_each_kind_has_the_name_that_is_documented() {
    let stages = [
        Stage::Success,
        Stage::Failure,
        Stage::Progress { name: "n", step: 0 },
        Stage::Inconsistent { why: "w" },
        Stage::Unknown,
    ];
    let stages = stages.map(Stage::as_str);
    assert_eq!(names_of("src/event/stage.rs", "impl Stage {"), stages);
    let trusts = [Trust::Unsigned, Trust::SignedId, Trust::Confirmed].map(Trust::as_str);
    assert_eq!(names_of("src/delivery/origin.rs", "impl Trust {"), trusts);
    let ways = [Via::Callback, Via::Poll].map(Via::as_str);
    assert_eq!(names_of("src/delivery/origin.rs", "impl Via {"), ways);
    let kinds = [CallbackKind::Generate, CallbackKind::Validate].map(CallbackKind::as_str);
    let path = "src/product/voice/kind.rs";
    assert_eq!(names_of(path, "impl CallbackKind {"), kinds);
}

#[test]
fn each_outcome_has_the_name_that_is_documented() {
    let voices = [
        r#""status":"success","voiceId":"v""#,
        r#""status":"wait_validating","validateInfo":"sing""#,
        r#""status":"fail""#,
        r#""status":"wait_processing""#,
        r#""status":"success""#,
        r#""status":"odd""#,
    ];
    let voices = voices.map(|data| {
        let body = format!(r#"{{"code":200,"data":{{"taskId":"t",{data}}}}}"#);
        let event = VoiceEvent::parse(CallbackKind::Generate, body).unwrap();
        event.outcome().as_str()
    });
    let path = "src/product/voice/outcome.rs";
    assert_eq!(names_of(path, "impl VoiceOutcome<'_> {"), voices);

    let task = TaskId::new("t").unwrap();
    let track = r#""data":[{"id":"1","audio_url":"https://f/1"}]"#;
    let music = |data: String| {
        let body = format!(r#"{{"code":200,"data":{{"task_id":"t",{data}}}}}"#);
        Music.parse(body).unwrap().outcome().as_str()
    };
    let record = r#"{"code":200,"data":{"taskId":"t","status":"PENDING"}}"#;
    let pending = Music.parse_record(&task, record).unwrap();
    let music = [
        music(format!(r#""callbackType":"complete",{track}"#)),
        music(format!(r#""callbackType":"first",{track}"#)),
        music(r#""callbackType":"text","data":[]"#.into()),
        music(r#""callbackType":"error""#.into()),
        pending.outcome().as_str(),
        music(r#""callbackType":"complete","data":[]"#.into()),
        music(r#""callbackType":"odd""#.into()),
    ];
    let path = "src/product/music/outcome.rs";
    assert_eq!(names_of(path, "impl MusicOutcome<'_> {"), music);

    let wav = |body: &str| Wav.parse(body).unwrap().outcome().as_str();
    let record = r#"{"code":200,"data":{"taskId":"t","successFlag":"PENDING"}}"#;
    let pending = Wav.parse_record(&task, record).unwrap();
    let files = [
        wav(r#"{"code":200,"data":{"task_id":"t","audioWavUrl":"https://f/1"}}"#),
        wav(r#"{"code":500,"data":{"task_id":"t"}}"#),
        pending.outcome().as_str(),
        wav(r#"{"code":500,"data":{"task_id":"t","audioWavUrl":"https://f/1"}}"#),
        wav(r#"{"data":{"task_id":"t"}}"#),
    ];
    let path = "src/product/task/outcome.rs";
    assert_eq!(names_of(path, "impl<T> TaskOutcome<'_, T> {"), files);
}
