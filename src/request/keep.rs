//! What becomes of a callback that could not be confirmed in time: it is asked on about.

use std::sync::Arc;

use super::{
    Line,
    caller::{Callee, Handler, HandlerRequest, polled},
    confirm::wants_confirmation,
    log,
};
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

impl<D: DedupStore, P: Product> Line<D, P> {
    /// Asks on about what was refused because it could not be confirmed.
    pub(super) fn keep_refused<S: Handler>(
        self: &Arc<Self>,
        arrival: &Arrival<P::Event>,
        answer: Answer,
        callee: &mut Callee<S>,
    ) {
        let Some(keeping) = &self.keeping else {
            return;
        };
        match answer {
            Answer::Refused(Rejection::Unconfirmed | Rejection::TooManyWaiters)
                if wants_confirmation(arrival) =>
            {
                let hand_over = self.hand_over_later(callee.take());
                keeping.keep(&arrival.event, arrival.subject(), hand_over);
            }
            _ => keeping.learn(&arrival.event, answer),
        }
    }

    /// Asks on about what is handed over without an outcome: what is unknown, or a record that says
    /// that the task is over and may yet fill in.
    pub(super) fn keep_undecided<S: Handler>(
        self: &Arc<Self>,
        event: &P::Event,
        subject: Subject<'_>,
        callee: &Callee<S>,
    ) {
        let is_undecided = match event.stage() {
            Stage::Unknown | Stage::Inconsistent { .. } => !event.is_final(),
            _ => false,
        };
        let Some(keeping) = self.keeping.as_ref().filter(|_| is_undecided) else {
            return;
        };
        if subject.origin.via == Via::Poll {
            return;
        }
        if let Some(callee) = callee.again(HandlerRequest::default()) {
            keeping.keep(event, subject, self.hand_over_later(callee));
        }
    }

    /// The way to the handler that the callback was for. What arrived is not kept: the record will
    /// be handed over.
    fn hand_over_later<S: Handler>(
        self: &Arc<Self>,
        mut callee: Callee<S>,
    ) -> Box<dyn HandOver<P::Event>> {
        if let Some(request) = callee.request() {
            *request = HandlerRequest::default();
        }
        let line = Arc::clone(self);
        Box::new(ToItsHandler { line, callee })
    }
}

struct ToItsHandler<S, D, P: Product> {
    line: Arc<Line<D, P>>,
    callee: Callee<S>,
}

impl<S: Handler, D: DedupStore, P: Product> HandOver<P::Event> for ToItsHandler<S, D, P> {
    fn hand_over(&mut self, record: P::Event) -> Handing {
        let callee = self.callee.again(polled(&record));
        let line = Arc::clone(&self.line);
        Box::pin(async move {
            match callee {
                Some(callee) => line.hand_over(record, callee).await,
                None => Answer::Refused(Rejection::StoreUnavailable),
            }
        })
    }
}
