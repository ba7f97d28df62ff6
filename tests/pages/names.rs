//! Names and statuses.

use std::collections::BTreeSet;

use suno_callback::{Disposition, InvalidEvent, Rejection};

use crate::text::members;

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
