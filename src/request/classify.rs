//! What a record says about an event of the same task.

use crate::{
    delivery::{Arrival, Conflict, ConflictHook, Receipt, Trust},
    product::Event,
    reply::{Answer, Disposition, Rejection},
    request::log,
    store::Record,
    util::panic,
};

/// Compares events with what stands, and reports what contradicts it.
pub(crate) struct Classify<E> {
    pub(crate) on_conflict: Option<ConflictHook<E>>,
}

impl<E: Event> Classify<E> {
    /// The answer to an event whose slot is done with `record`.
    pub(crate) fn answer_from(&self, arrival: &Arrival<E>, record: &Record) -> Answer {
        let Some(first) = Receipt::from_record(record) else {
            // Not ours to guess: it may be of a later version, or the store is damaged.
            log::record_unreadable(arrival.subject());
            return Answer::Refused(Rejection::StoreUnavailable);
        };
        match first.agrees_with(&arrival.receipt()) {
            true => Answer::Received(Disposition::Duplicate),
            false => self.report_conflict(arrival, &first),
        }
    }

    /// The answer to an event of a task that has succeeded with `record`: it is late. But where a
    /// poll finds a record without that success, and nobody confirmed it, the two contradict each
    /// other.
    pub(crate) fn after_success(&self, arrival: &Arrival<E>, record: &Record) -> Answer {
        if arrival.is_success() {
            return self.answer_from(arrival, record);
        }
        let first = Receipt::from_record(record);
        let in_doubt = first.filter(|it| it.trust != Trust::Confirmed);
        let denies = arrival.is_of_a_poll() && arrival.event.is_final();
        match in_doubt.filter(|_| denies) {
            Some(first) => self.report_conflict(arrival, &first),
            None => Answer::Received(Disposition::Late),
        }
    }

    pub(crate) fn report_conflict(&self, arrival: &Arrival<E>, first: &Receipt) -> Answer {
        let pair = arrival.origin.signed_at.zip(first.signed_at);
        let conflict = Conflict {
            event: arrival.event.clone(),
            same_header_pair: pair.map(|(this, first)| this == first),
            first_trust: first.trust,
        };
        match &self.on_conflict {
            Some(hook) => panic::caught("on_conflict", || (hook.0)(&conflict)),
            None => log::conflict(&conflict),
        }
        Answer::Received(Disposition::Conflict)
    }
}

impl<E> Clone for Classify<E> {
    fn clone(&self) -> Self {
        Self {
            on_conflict: self.on_conflict.clone(),
        }
    }
}
