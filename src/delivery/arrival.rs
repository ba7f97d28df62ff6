use tokio::time::Instant;

use super::{Origin, Receipt, Subject, Trust, Via};
use crate::{
    event::Stage,
    metrics::EventMeters,
    product::{Event, Product},
};

/// A genuine event that nobody holds. Owned, not shared: the step that decides may change it.
pub(crate) struct Arrival<E> {
    pub(crate) event: E,
    pub(crate) origin: Origin,
    pub(crate) began: Instant,
    /// By when whoever sent it wants an answer.
    pub(crate) deadline: Instant,
    /// What counts the events of its layer.
    pub(crate) meters: EventMeters,
}

impl<E: Event> Arrival<E> {
    /// What the provider says, in the place of what arrived: nobody sees that any more.
    pub(crate) fn confirm(&mut self, truth: E) {
        self.event = truth;
        self.origin.trust = Trust::Confirmed;
    }

    pub(crate) fn is_success(&self) -> bool {
        self.event.stage() == Stage::Success
    }

    pub(crate) fn is_of_a_poll(&self) -> bool {
        self.origin.via == Via::Poll
    }

    pub(crate) fn receipt(&self) -> Receipt {
        Receipt::of(&self.event, &self.origin)
    }

    /// What the log says about it.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            task_id: self.event.task_id(),
            product: self.event.product().name(),
            stage: self.event.stage(),
            foreign: self.event.foreign(),
            origin: &self.origin,
            began: self.began,
            meters: &self.meters,
        }
    }
}
