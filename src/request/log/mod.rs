//! Everything that is told of a request, in one place: one event in the log and one count for each,
//! and what an operator must see.
//!
//! Without the `tracing` feature nothing is logged, without `metrics` nothing is counted. Text of the
//! provider is escaped and cut; keys, signatures and bodies have no way in here.

#[cfg(feature = "tracing")]
mod lines;
#[cfg(not(feature = "tracing"))]
#[path = "silent.rs"]
mod lines;

pub(crate) use self::lines::{enter, mounted_twice, record_unreadable, span, within, within_this};

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    delivery::{Conflict, Delivery, Subject},
    metrics::EventMeters,
    product::Event,
    reply::{Answer, Disposition, Rejection},
};

/// A request that was refused before its event was known to be genuine.
pub(crate) fn refused(
    meters: &EventMeters,
    rejection: Rejection,
    hint: impl FnOnce() -> Option<&'static str>,
) {
    meters.refused(rejection);
    lines::refused(rejection, hint);
}

/// A genuine event that was answered without its handler, or before it had ended.
pub(crate) fn answered(subject: Subject<'_>, answer: Answer) {
    subject
        .meters
        .answered(subject.stage, answer, subject.began);
    lines::answered(subject, answer);
}

/// A genuine event whose handler has ended.
pub(crate) fn handled(
    subject: Subject<'_>,
    how: Disposition,
    stopped: Option<Rejection>,
    granted: Instant,
) {
    let times = (subject.began, granted);
    subject.meters.handled(subject.stage, how, stopped, times);
    lines::handled(subject, how, stopped, granted);
}

pub(crate) fn heartbeat_late(subject: Subject<'_>, by: Duration) {
    subject.meters.heartbeat_late();
    lines::heartbeat_late(subject, by);
}

/// Somebody else holds the claim of a handler that still runs.
pub(crate) fn claim_lost_meanwhile(delivery: &Delivery) {
    delivery.subject().meters.claim_lost();
    lines::claim_lost(delivery);
}

/// A commit found that somebody else holds the claim; its disposition says so too.
pub(crate) fn claim_lost(delivery: &Delivery) {
    lines::claim_lost(delivery);
}

pub(crate) fn commit_given_up(delivery: &Delivery) {
    delivery.subject().meters.commit_given_up();
    lines::commit_given_up(delivery);
}

pub(crate) fn unconfirmed(subject: Subject<'_>) {
    subject.meters.unconfirmed();
    lines::unconfirmed(subject);
}

/// What could not be confirmed, and is not asked on about.
pub(crate) fn not_kept(subject: Subject<'_>) {
    subject.meters.not_kept();
    lines::not_kept(subject);
}

/// Its disposition counts it.
pub(crate) fn conflict<E: Event>(conflict: &Conflict<E>) {
    lines::conflict(conflict);
}
