//! The inner service behind the steps, and an event's way through them.

use std::{
    future::poll_fn,
    ops::Deref,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tokio::time::Instant;

use super::{
    Handled, Line,
    caller::{Caller, Handler, HandlerRequest, polled},
    claim::Claimed,
    handle, log,
    running::{Ours, Running},
    stages::{Begun, Undecided},
};
use crate::{
    delivery::{Arrival, Delivery},
    process::drain::Permit,
    product::Product,
    reply::{Answer, Rejection},
    store::DedupStore,
    util::clock,
};

/// What every clone of a service shares.
#[derive(Debug)]
pub(crate) struct Mounted<S, D, P: Product> {
    /// Cloned for an event that is handled, and for nothing else. In a lock, because a service need
    /// not be `Sync`.
    pub(super) inner: Mutex<S>,
    pub(crate) line: Arc<Line<D, P>>,
}

impl<S, D, P: Product> Mounted<S, D, P> {
    pub(crate) fn new(inner: S, line: Arc<Line<D, P>>) -> Self {
        let inner = Mutex::new(inner);
        Self { inner, line }
    }
}

impl<S: Handler, D: DedupStore, P: Product> Mounted<S, D, P> {
    /// (confirm) -> claim -> inner service -> commit | release -> reply
    ///
    /// What is done without waiting is done in place: an event that needs no handler costs no box,
    /// and one whose handler is ready at once costs that of the handler's future.
    pub(crate) fn run(
        self: Arc<Self>,
        mut arrival: Arrival<P::Event>,
        request: &mut Option<HandlerRequest>,
        now: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Begun<Handled<S::Body, S::Error>> {
        let inside = Inside::enter(self);
        if D::ANSWERS_AT_ONCE && inside.line.confirming.confirmer.is_none() {
            let line = &inside.line;
            let decide = || line.decide_at_once(&mut arrival, request.as_ref(), cx);
            match clock::at(now, decide) {
                Poll::Ready(Ok(claimed)) => {
                    let running = inside.deliver(arrival, claimed, request);
                    return running.at_once(request, cx);
                }
                Poll::Ready(Err(answer)) => return Begun::Over(inside.answer(&arrival, answer)),
                // It has to wait. What it began is undone, and begun again where it can.
                Poll::Pending => {}
            }
        }
        let decide = inside.decide_later(arrival, request.take());
        Begun::Undecided(Undecided::new(decide, Ours::handle))
    }

    /// Takes a record that a poll found the way of a callback, from the claim on. No deadline cuts
    /// its handler; twins are waited for as long as a callback would.
    ///
    /// # Cancellation safety
    ///
    /// As for a response: once the handler runs, it runs to its end.
    pub(crate) async fn hand_over(self: Arc<Self>, record: P::Event) -> Answer {
        if self.line.drain.is_closed() {
            return Answer::Refused(Rejection::ShuttingDown);
        }
        let request = polled(&record);
        let arrival = self.line.verifying.polled(record);
        let decide = Inside::enter(self).decide_later(arrival, Some(request));
        let mut undecided = Undecided::new(decide, Ours::handle);
        match poll_fn(|cx| undecided.poll(cx)).await {
            Err(ended) => ended.answer,
            Ok(delivery) => {
                let mut granted = undecided.granted(delivery);
                poll_fn(|cx| granted.poll(cx)).await.answer
            }
        }
    }
}

/// A request that is inside: a drain waits for it.
pub(super) struct Inside<S, D, P: Product> {
    mounted: Arc<Mounted<S, D, P>>,
    is_counted: bool,
}

impl<S, D, P: Product> Inside<S, D, P> {
    fn enter(mounted: Arc<Mounted<S, D, P>>) -> Self {
        mounted.line.drain.count_in();
        Self {
            mounted,
            is_counted: true,
        }
    }

    /// For whoever sees to the rest: the drain waits for that one from now on.
    pub(super) fn hand_on(&mut self) -> Permit {
        self.is_counted = false;
        self.line.drain.permit()
    }
}

impl<S, D, P: Product> Deref for Inside<S, D, P> {
    type Target = Arc<Mounted<S, D, P>>;

    fn deref(&self) -> &Self::Target {
        &self.mounted
    }
}

impl<S, D, P: Product> Drop for Inside<S, D, P> {
    fn drop(&mut self) {
        if self.is_counted {
            self.line.drain.count_out();
        }
    }
}

impl<S: Handler, D: DedupStore, P: Product> Inside<S, D, P> {
    /// (confirm) -> claim, for as long as that takes.
    async fn decide_later(
        self,
        mut arrival: Arrival<P::Event>,
        mut request: Option<HandlerRequest>,
    ) -> Result<Ours<S, D, P>, Handled<S::Body, S::Error>> {
        match self.line.decide(&mut arrival, request.as_ref()).await {
            Ok(claimed) => {
                let running = self.deliver(arrival, claimed, &mut request);
                Ok(Ours { running, request })
            }
            Err(answer) => Err(self.answer(&arrival, answer)),
        }
    }

    fn deliver(
        self,
        arrival: Arrival<P::Event>,
        claimed: Claimed,
        request: &mut Option<HandlerRequest>,
    ) -> Running<S, D, P> {
        let granted = self.line.claiming.grant(&arrival, &claimed);
        let (event, delivery) = Delivery::new(arrival, granted);
        self.keep_undecided(&event, delivery.subject());
        let kept = self.line.keeping.is_some().then(|| event.clone());
        handle::prepare(request.as_mut(), event, &delivery);
        Running {
            caller: Caller::new(),
            leader: claimed.leader,
            delivery,
            asked: claimed.asked,
            kept,
            inside: self,
        }
    }

    fn answer(&self, arrival: &Arrival<P::Event>, answer: Answer) -> Handled<S::Body, S::Error> {
        log::answered(arrival.subject(), answer);
        self.keep_refused(arrival, answer);
        let reply = Ok(answer.reply());
        Handled { answer, reply }
    }
}
