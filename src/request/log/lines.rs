//! What is told of a request as lines and spans of `tracing`.

use std::{future::Future, time::Duration};

use tokio::time::Instant;
use tracing::{
    Instrument, Span, debug, error, error_span,
    field::{DisplayValue, display},
    info,
    level_filters::LevelFilter,
    span::Entered,
    warn,
};

use crate::{
    delivery::{Conflict, Delivery, Subject},
    event::Stage,
    product::{Event, Product},
    reply::{Answer, Disposition, Rejection},
    request::hint,
    util::{Escaped, clock, log::TARGET},
};

/// One line about a genuine event.
macro_rules! about {
    ($level:ident, $subject:ident, $hint:expr, $($rest:tt)+) => {
        $level!(
            target: TARGET,
            task_id = ?Escaped($subject.task_id.as_str()),
            product = $subject.product,
            stage = $subject.stage.as_str(),
            name = name_of($subject.stage),
            trust = $subject.origin.trust.as_str(),
            key = $subject.origin.key_label.as_deref(),
            hint = hint_of($subject, $hint),
            $($rest)+
        )
    };
}

/// What the lines of a handler stand in, and those about its claim: whose they are.
///
/// Its level is that of the rarest line, because a filter that lets a line pass must not take
/// away whose it is.
pub(crate) fn span(delivery: &Delivery) -> Span {
    // Where nobody listens, a span that is told to the `log` crate instead costs each poll.
    if LevelFilter::current() == LevelFilter::OFF {
        return Span::none();
    }
    let subject = delivery.subject();
    error_span!(
        target: TARGET,
        "callback",
        task_id = ?Escaped(subject.task_id.as_str()),
        product = subject.product,
        stage = subject.stage.as_str(),
        attempt = delivery.attempt(),
    )
}

/// What is done here and now is done in `span`.
pub(crate) fn enter(span: &Span) -> Entered<'_> {
    span.enter()
}

/// Polls and drops `work` in `span`, wherever it goes.
pub(crate) fn within<F: Future>(span: Span, work: F) -> impl Future<Output = F::Output> {
    work.instrument(span)
}

/// The same with the span that is entered now: for a task of its own.
pub(crate) fn within_this<F: Future>(work: F) -> impl Future<Output = F::Output> {
    work.in_current_span()
}

/// Which progress, or which contradiction.
fn name_of(stage: Stage) -> Option<&'static str> {
    match stage {
        Stage::Progress { name, .. } => Some(name),
        Stage::Inconsistent { why } => Some(why),
        _ => None,
    }
}

/// What is plainly another product's has its handler elsewhere, whatever else is the matter.
fn hint_of(subject: Subject<'_>, hint: Option<&str>) -> Option<DisplayValue<String>> {
    let foreign = subject
        .foreign
        .map(|product| format!("content of {product}: is the URL of another product's route?"));
    foreign.or_else(|| hint.map(str::to_owned)).map(display)
}

pub(crate) fn refused(rejection: Rejection, hint: impl FnOnce() -> Option<&'static str>) {
    let status = rejection.status().as_u16();
    match rejection {
        Rejection::ShuttingDown | Rejection::Method => {
            debug!(target: TARGET, status, reason = %rejection, "refused");
        }
        _ => warn!(target: TARGET, status, reason = %rejection, hint = hint(), "refused"),
    }
}

pub(crate) fn answered(subject: Subject<'_>, answer: Answer) {
    match answer {
        Answer::Received(disposition) => about!(
            info,
            subject,
            None,
            waited = ?(clock::look() - subject.began),
            disposition = disposition.as_str(),
            "received",
        ),
        Answer::Refused(rejection) => about!(
            warn,
            subject,
            hint::of_postponed(rejection),
            waited = ?(clock::look() - subject.began),
            status = rejection.status().as_u16(),
            reason = %rejection,
            "postponed",
        ),
    }
}

pub(crate) fn handled(
    subject: Subject<'_>,
    how: Disposition,
    stopped: Option<Rejection>,
    granted: Instant,
) {
    about!(
        info,
        subject,
        None,
        via = subject.origin.via.as_str(),
        waited = ?(granted - subject.began),
        handled = ?(clock::look() - granted),
        disposition = how.as_str(),
        stopped = stopped.map(|why| why.as_str()),
        "handled",
    );
}

pub(crate) fn record_unreadable(subject: Subject<'_>) {
    let task_id = Escaped(subject.task_id.as_str());
    error!(target: TARGET, ?task_id, "the store's record cannot be read");
}

pub(crate) fn mounted_twice(subject: Subject<'_>) {
    let task_id = Escaped(subject.task_id.as_str());
    error!(
        target: TARGET,
        ?task_id,
        "the layer is mounted twice: a request came through one layer into another that handles \
         the same events; mount it on the route or on its router, not on both, or give each a \
         namespace",
    );
}

pub(crate) fn heartbeat_late(subject: Subject<'_>, by: Duration) {
    let task_id = Escaped(subject.task_id.as_str());
    warn!(
        target: TARGET,
        ?task_id,
        ?by,
        "a heartbeat was late; does the handler block its thread?",
    );
}

pub(crate) fn claim_lost(delivery: &Delivery) {
    let task_id = Escaped(delivery.subject().task_id.as_str());
    let (fence, attempt) = (delivery.fence(), delivery.attempt());
    error!(
        target: TARGET,
        ?task_id,
        fence,
        attempt,
        "the claim was lost while its handler ran; the handler may run twice",
    );
}

pub(crate) fn commit_given_up(delivery: &Delivery) {
    let task_id = Escaped(delivery.subject().task_id.as_str());
    error!(
        target: TARGET,
        ?task_id,
        "a handled event could not be recorded; another try would run its handler again",
    );
}

pub(crate) fn unconfirmed(subject: Subject<'_>) {
    let task_id = Escaped(subject.task_id.as_str());
    warn!(target: TARGET, ?task_id, "the provider could not confirm an event");
}

pub(crate) fn not_kept(subject: Subject<'_>) {
    let task_id = Escaped(subject.task_id.as_str());
    error!(
        target: TARGET,
        ?task_id,
        "an event that could not be confirmed is not kept; only another try can deliver it",
    );
}

pub(crate) fn conflict<E: Event>(conflict: &Conflict<E>) {
    error!(
        target: TARGET,
        task_id = ?Escaped(conflict.task_id().as_str()),
        product = conflict.event.product().name(),
        same_header_pair = ?conflict.same_header_pair,
        first_trust = conflict.first_trust.as_str(),
        "a task succeeded twice with different results; the first stands",
    );
}
