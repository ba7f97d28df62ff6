//! Names, kinds and texts, once for all. The table in the documentation of the module says the same,
//! and a test compares the two.

use super::handles;

/// One metric, whatever its labels are.
pub(crate) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) text: &'static str,
}

pub(super) enum Kind {
    Counter,
    Gauge,
    /// Of seconds.
    Histogram,
}

macro_rules! catalogue {
    ($($id:ident $kind:ident $name:literal $text:literal)+) => {
        $(pub(crate) const $id: Metric = Metric {
            name: concat!("suno_callback_", $name),
            kind: Kind::$kind,
            text: $text,
        };)+

        const ALL: &[Metric] = &[$($id),+];
    };
}

#[rustfmt::skip] // a metric is two lines
catalogue! {
    EVENTS Counter "events_total"
        "genuine events that were answered or handled, by what became of them"
    REFUSED Counter "refused_total"
        "requests that were refused before their event was known to be genuine"
    POSTPONED Counter "postponed_total"
        "genuine events that were not answered with success; the provider tries again"
    HANDLERS_STOPPED Counter "handlers_stopped_total"
        "handlers that ended without an answer of their own"
    WAITED Histogram "waited_seconds"
        "time from the head of a request to its handler, or to its answer without one"
    HANDLED Histogram "handled_seconds"
        "time from the granted claim to the end of handler and commit"
    HEARTBEATS_LATE Counter "heartbeats_late_total"
        "renewals of a lease that came late, because a handler blocked its thread"
    CLAIMS_LOST Counter "claims_lost_total"
        "claims that somebody else held while their handler still ran"
    COMMITS_GIVEN_UP Counter "commits_given_up_total"
        "handled events that could not be recorded; another try runs their handler again"
    UNCONFIRMED Counter "unconfirmed_total"
        "events that the provider could not confirm in time"
    NOT_KEPT Counter "not_kept_total"
        "unconfirmed events that nobody asks on about, because the list is full"
    REQUESTS_WAITING Gauge "requests_waiting"
        "requests that wait for a twin or for the provider's word"
    COMMITS_DEFERRED Gauge "commits_deferred"
        "handled events whose commit is under way"
    STORE_OPERATIONS Counter "store_operations_total"
        "operations of the store"
    STORE_OPERATION Histogram "store_operation_seconds"
        "time that an operation of the store took, whatever its outcome"
    WATCHES Gauge "watches"
        "tasks that are asked about until their outcome is delivered"
    WATCHES_ENDED Counter "watches_ended_total"
        "tasks that are asked about no more"
    QUESTIONS Counter "questions_total"
        "questions to the provider"
}

/// Tells the recorder what each of them is.
pub(super) fn describe() {
    ALL.iter().for_each(handles::describe);
}
