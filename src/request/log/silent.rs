//! What is told of a request without the `tracing` feature: nothing.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

use crate::{
    delivery::{Conflict, Delivery, Subject},
    reply::{Answer, Disposition, Rejection},
};

pub(crate) struct Span;

pub(crate) fn span(_: &Delivery) -> Span {
    Span
}
pub(crate) struct Entered;

pub(crate) fn enter(_: &Span) -> Entered {
    Entered
}
pub(crate) fn within<F: Future>(_: Span, work: F) -> impl Future<Output = F::Output> {
    work
}
pub(crate) fn within_this<F: Future>(work: F) -> impl Future<Output = F::Output> {
    work
}
pub(crate) fn refused(_: Rejection, _: impl FnOnce() -> Option<&'static str>) {}
pub(crate) fn answered(subject: Subject<'_>, _: Answer) {
    // Which nobody else reads.
    let _ = (subject.task_id, subject.product, subject.stage);
    let _ = (subject.foreign, subject.began);
}
pub(crate) fn handled(_: Subject<'_>, _: Disposition, _: Option<Rejection>, _: Instant) {}
pub(crate) fn record_unreadable(_: Subject<'_>) {}
pub(crate) fn mounted_twice(_: Subject<'_>) {}
pub(crate) fn heartbeat_late(_: Subject<'_>, _: Duration) {}
pub(crate) fn claim_lost(_: &Delivery) {}
pub(crate) fn commit_given_up(_: &Delivery) {}
pub(crate) fn unconfirmed(_: Subject<'_>) {}
pub(crate) fn not_kept(_: Subject<'_>) {}
pub(crate) fn conflict<E>(_: &Conflict<E>) {}
