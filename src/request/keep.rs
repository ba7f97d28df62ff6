//! What a layer does about a callback that it could not confirm in time.

use std::sync::Arc;

use crate::{
    confirm::Unconfirmed,
    delivery::Via,
    delivery::arrival::Arrival,
    event::{Meaning, VoiceEvent},
    reply::{Answer, Disposition, Rejection},
    request::caller::{BoxCaller, HandlerRequest},
    request::log,
    request::pipeline::Pipeline,
    service,
    store::DedupStore,
    watch::{HandOver, Handing, Kept, Source, keep_asking},
};

impl<D: DedupStore> Pipeline<D> {
    /// Asks on about what was refused because it could not be confirmed.
    pub(crate) fn keep_refused<H, E>(
        self: &Arc<Self>,
        arrival: &Arrival,
        answer: Answer,
        caller: BoxCaller<H, E>,
    ) where
        H: Send + 'static,
        E: Send + 'static,
    {
        match answer {
            Answer::Refused(Rejection::Unconfirmed | Rejection::TooManyWaiters)
                if self.wants_truth(arrival) =>
            {
                self.keep(arrival, caller);
            }
            _ => self.is_known(arrival, answer),
        }
    }

    /// Asks on about what is handed over without an outcome: what is unknown, or a record that says
    /// that the task is over and may yet fill in.
    pub(crate) fn keep_undecided<H, E>(
        self: &Arc<Self>,
        arrival: &Arrival,
        caller: &mut BoxCaller<H, E>,
    ) where
        H: Send + 'static,
        E: Send + 'static,
    {
        let is_undecided = match arrival.event().meaning() {
            Meaning::Unknown | Meaning::Inconsistent(_) => !arrival.event().is_final(),
            _ => false,
        };
        if self.confirmer.is_none() || !is_undecided || arrival.via() == Via::Poll {
            return;
        }
        if let Some(caller) = caller.as_mut().again(HandlerRequest::default()) {
            self.keep(arrival, caller);
        }
    }

    fn keep<H, E>(self: &Arc<Self>, arrival: &Arrival, mut caller: BoxCaller<H, E>)
    where
        H: Send + 'static,
        E: Send + 'static,
    {
        let Some(confirmer) = &self.confirmer else {
            return;
        };
        if self.unconfirmed != Unconfirmed::Keep {
            return;
        }
        // What arrived is not kept: the record will be handed over.
        if let Some(request) = caller.as_mut().request_mut() {
            *request = HandlerRequest::default();
        }
        let phrase = arrival.event().meaning() == Meaning::PhraseReady;
        let pipeline = Arc::clone(self);
        let hand_over = Box::new(ToItsHandler { pipeline, caller });
        let kept = Kept { hand_over, phrase };
        if !confirmer.kept.keep(arrival.event().task_id(), kept) {
            return log::not_kept(arrival);
        }
        let source = Source {
            confirm: Arc::clone(confirmer.source()),
            kind: self.kind,
        };
        keep_asking(&confirmer.kept, source, self.drain.clone());
    }

    /// Stops to ask about a task whose outcome is delivered.
    pub(crate) fn is_known(&self, arrival: &Arrival, answer: Answer) {
        let (Some(confirmer), Answer::Received(how)) = (&self.confirmer, answer) else {
            return;
        };
        if settles(how) && arrival.event().is_final() {
            confirmer.kept.forget(arrival.event().task_id());
        }
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

/// The way to the handler that the callback was for.
struct ToItsHandler<D, H, E> {
    pipeline: Arc<Pipeline<D>>,
    caller: BoxCaller<H, E>,
}

impl<D, H, E> HandOver for ToItsHandler<D, H, E>
where
    D: DedupStore,
    H: Send + 'static,
    E: Send + 'static,
{
    fn hand_over(&mut self, record: VoiceEvent) -> Handing {
        let request: HandlerRequest = service::polled(&record);
        let caller = self.caller.as_mut().again(request);
        let pipeline = Arc::clone(&self.pipeline);
        Box::pin(async move {
            match caller {
                Some(caller) => pipeline.hand_over(record, caller).await,
                None => Answer::Refused(Rejection::StoreUnavailable),
            }
        })
    }
}
