//! What becomes of a callback that could not be confirmed in time: it is asked on about.

use std::sync::Arc;

use super::{Mounted, caller::Handler, confirm::wants_confirmation, log};
use crate::{
    delivery::{Arrival, Subject, Via},
    event::Stage,
    process::drain::Drain,
    product::{Event, Product},
    reply::{Answer, Disposition, Rejection},
    store::DedupStore,
    watch::{HandOver, Handing, Kept, Source, Watchlist, keep_asking},
};

/// The list of what is kept, and who is asked about it.
pub(crate) struct Keeping<E: Event> {
    pub(crate) list: Watchlist<E>,
    pub(crate) source: Source<E>,
    pub(crate) drain: Drain,
}

impl<E: Event> Keeping<E> {
    /// Stops to ask about a task whose outcome is delivered.
    pub(crate) fn learn(&self, event: &E, answer: Answer) {
        if let Answer::Received(how) = answer
            && settles(how)
            && event.is_final()
        {
            self.list.forget(event.task_id());
        }
    }

    fn keep(&self, event: &E, subject: Subject<'_>, hand_over: Box<dyn HandOver<E>>) {
        let step = match event.stage() {
            Stage::Progress { step, .. } => Some(step),
            _ => None,
        };
        if !self.list.keep(event.task_id(), Kept { hand_over, step }) {
            return log::not_kept(subject);
        }
        keep_asking(&self.list, self.source.clone(), self.drain.clone());
    }
}

/// Whether nobody has to ask about the task any more.
fn settles(how: Disposition) -> bool {
    match how {
        Disposition::Accepted
        | Disposition::CommitDeferred
        | Disposition::ClaimLost
        | Disposition::Duplicate
        | Disposition::Late => true,
        Disposition::Conflict | Disposition::HandlerFailed => false,
    }
}

impl<S: Handler, D: DedupStore, P: Product> Mounted<S, D, P> {
    /// Asks on about what was refused because it could not be confirmed.
    pub(super) fn keep_refused(self: &Arc<Self>, arrival: &Arrival<P::Event>, answer: Answer) {
        let Some(keeping) = &self.line.keeping else {
            return;
        };
        match answer {
            Answer::Refused(Rejection::Unconfirmed | Rejection::TooManyWaiters)
                if wants_confirmation(arrival) =>
            {
                keeping.keep(&arrival.event, arrival.subject(), self.hand_over_later());
            }
            _ => keeping.learn(&arrival.event, answer),
        }
    }

    /// Asks on about what is handed over without an outcome: what is unknown, or a record that says
    /// that the task is over and may yet fill in.
    pub(super) fn keep_undecided(self: &Arc<Self>, event: &P::Event, subject: Subject<'_>) {
        let is_undecided = match event.stage() {
            Stage::Unknown | Stage::Inconsistent { .. } => !event.is_final(),
            _ => false,
        };
        let Some(keeping) = self.line.keeping.as_ref().filter(|_| is_undecided) else {
            return;
        };
        if subject.origin.via == Via::Callback {
            keeping.keep(event, subject, self.hand_over_later());
        }
    }

    /// The way to the handler that the callback was for. What arrived is not kept: the record will
    /// be handed over.
    pub(crate) fn hand_over_later(self: &Arc<Self>) -> Box<dyn HandOver<P::Event>> {
        Box::new(ToItsHandler(Arc::clone(self)))
    }
}

struct ToItsHandler<S, D, P: Product>(Arc<Mounted<S, D, P>>);

impl<S: Handler, D: DedupStore, P: Product> HandOver<P::Event> for ToItsHandler<S, D, P> {
    fn hand_over(&mut self, record: P::Event) -> Handing {
        Box::pin(Arc::clone(&self.0).hand_over(record))
    }
}
