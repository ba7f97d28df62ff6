//! The way of a request, a file per step.
//!
//! ```text
//! &Request --gate--> SignedHead
//! SignedHead + Bytes --verify--> Arrival        genuine, and nobody holds it
//! Arrival --confirm, claim--> Claimed | Answer  ours, with its place in this process and its lease
//! Claimed --> Delivery                          what the handler sees
//! Claimed + Callee --handle, settle--> Handled  reply and answer
//! ```

pub(crate) mod body;
pub(crate) mod caller;
mod claim;
mod classify;
mod confirm;
pub(crate) mod gate;
mod handle;
mod heartbeat;
mod heir;
pub(crate) mod hint;
mod keep;
pub(crate) mod log;
mod settings;
mod settle;
pub(crate) mod stages;
mod verify;

pub(crate) use self::{handle::Handled, settings::Settings};

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use self::{
    caller::{Callee, Caller, Handler, HandlerRequest},
    claim::{Claimed, Claiming},
    confirm::Confirming,
    gate::Gate,
    handle::Handling,
    keep::Keeping,
    settle::Settling,
    stages::{Begun, Granted, Undecided},
    verify::Verifying,
};
use crate::{
    delivery::{Arrival, Delivery},
    process::{
        drain::{Drain, Permit},
        twins::Leader,
    },
    product::Product,
    reply::{Answer, Rejection},
    store::DedupStore,
    util::clock,
};

/// The steps that every request of a layer goes through, each with what it needs.
pub(crate) struct Line<D, P: Product> {
    pub(crate) gate: Gate,
    /// The largest body, in bytes, and how long it may take.
    pub(crate) body_limit: usize,
    pub(crate) body_time: Duration,
    pub(crate) verifying: Verifying<P>,
    confirming: Confirming<D, P>,
    claiming: Claiming<D, P>,
    handling: Handling<D>,
    settling: Settling<D>,
    /// Where a confirmer is set.
    keeping: Option<Keeping<P::Event>>,
    pub(crate) drain: Drain,
}

/// A claimed event with its handler.
struct Ours<S, D, P: Product> {
    line: Arc<Line<D, P>>,
    event: P::Event,
    delivery: Delivery,
    leader: Leader,
    asked: Instant,
    callee: Callee<S>,
    permit: Permit,
}

impl<D: DedupStore, P: Product> Line<D, P> {
    /// (confirm) -> claim -> inner service -> commit | release -> reply
    ///
    /// What is decided without waiting is decided in place: an event that needs no handler costs no
    /// box, and any other the one of its handler.
    pub(crate) fn run<S: Handler>(
        self: Arc<Self>,
        mut arrival: Arrival<P::Event>,
        callee: &mut Callee<S>,
        now: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Begun<Handled<S::Body, S::Error>> {
        let permit = self.drain.permit();
        if D::ANSWERS_AT_ONCE && self.confirming.confirmer.is_none() {
            let decide = || pin!(self.decide(&mut arrival, callee.request())).poll(cx);
            match clock::at(now, decide) {
                Poll::Ready(Ok(claimed)) => {
                    let ours = self.deliver(arrival, claimed, callee, permit);
                    let delivery = ours.delivery.clone();
                    return Begun::Granted(Granted::new(handle(ours), delivery));
                }
                Poll::Ready(Err(answer)) => {
                    return Begun::Over(self.answer(&arrival, answer, callee));
                }
                // It has to wait. What it began is undone, and begun again where it can.
                Poll::Pending => {}
            }
        }
        let decide = self.decide_later(arrival, callee.take(), permit);
        Begun::Undecided(Undecided::new(decide, handle))
    }

    /// Takes a record that a poll found the way of a callback, from the claim on. No deadline cuts
    /// its handler; twins are waited for as long as a callback would.
    ///
    /// # Cancellation safety
    ///
    /// As for a response: once the handler runs, it runs to its end.
    pub(crate) async fn hand_over<S: Handler>(
        self: Arc<Self>,
        record: P::Event,
        callee: Callee<S>,
    ) -> Answer {
        if self.drain.is_closed() {
            return Answer::Refused(Rejection::ShuttingDown);
        }
        let arrival = self.verifying.polled(record);
        let permit = self.drain.permit();
        let decide = self.decide_later(arrival, callee, permit);
        let mut undecided = Undecided::new(decide, handle);
        match poll_fn(|cx| undecided.poll(cx)).await {
            Err(ended) => ended.answer,
            Ok(delivery) => {
                let mut granted = undecided.granted(delivery);
                poll_fn(|cx| granted.poll(cx)).await.answer
            }
        }
    }

    /// (confirm) -> claim, for as long as that takes.
    async fn decide_later<S: Handler>(
        self: Arc<Self>,
        mut arrival: Arrival<P::Event>,
        mut callee: Callee<S>,
        permit: Permit,
    ) -> Result<Ours<S, D, P>, Handled<S::Body, S::Error>> {
        match self.decide(&mut arrival, callee.request()).await {
            Ok(claimed) => Ok(self.deliver(arrival, claimed, &mut callee, permit)),
            Err(answer) => Err(self.answer(&arrival, answer, &mut callee)),
        }
    }

    /// Who handles the event, or what it is answered without a handler.
    async fn decide(
        &self,
        arrival: &mut Arrival<P::Event>,
        request: Option<&mut HandlerRequest>,
    ) -> Result<Claimed, Answer> {
        if handle::is_within_itself(&self.claiming.slots, arrival, request) {
            return Err(Answer::Refused(Rejection::MountedTwice));
        }
        self.confirming.confirm(arrival).await?;
        self.claiming.claim(arrival).await
    }

    fn deliver<S: Handler>(
        self: Arc<Self>,
        arrival: Arrival<P::Event>,
        claimed: Claimed,
        callee: &mut Callee<S>,
        permit: Permit,
    ) -> Ours<S, D, P> {
        let granted = self.claiming.grant(&arrival, &claimed);
        let (event, delivery) = Delivery::new(arrival, granted);
        self.keep_undecided(&event, delivery.subject(), callee);
        let Claimed { leader, asked, .. } = claimed;
        Ours {
            line: self,
            event,
            delivery,
            leader,
            asked,
            callee: callee.take(),
            permit,
        }
    }

    fn answer<S: Handler>(
        self: &Arc<Self>,
        arrival: &Arrival<P::Event>,
        answer: Answer,
        callee: &mut Callee<S>,
    ) -> Handled<S::Body, S::Error> {
        log::answered(arrival.subject(), answer);
        self.keep_refused(arrival, answer, callee);
        let reply = Ok(answer.reply());
        Handled { answer, reply }
    }
}

/// inner service -> commit | release -> reply
///
/// What is ours stays where it was captured; an `async fn` would move it once more.
#[allow(clippy::manual_async_fn)]
fn handle<S: Handler, D: DedupStore, P: Product>(
    mut ours: Ours<S, D, P>,
) -> impl Future<Output = Handled<S::Body, S::Error>> {
    let span = log::span(&ours.delivery);
    log::within(span, async move {
        let (line, delivery, asked) = (&ours.line, &ours.delivery, ours.asked);
        let kept = line
            .keeping
            .as_ref()
            .map(|keeping| (keeping, ours.event.clone()));
        handle::prepare(ours.callee.request(), ours.event, delivery);
        let (ended, at_once) = {
            // Gone before the commit, which has its place then.
            let caller = pin!(Caller::new(&mut ours.callee));
            line.handling.drive(delivery, asked, caller).await
        };
        let is_success = ended.is_success();
        let now = at_once.then_some(asked);
        let settling = &line.settling;
        let how = settling.settle(delivery, ours.leader, ours.permit, is_success, now);
        let how = how.await;
        log::handled(delivery.subject(), how, ended.stopped(), asked);
        let answer = ended.answer(how);
        if let Some((keeping, event)) = kept {
            keeping.learn(&event, answer);
        }
        let reply = ended.reply(how);
        Handled { answer, reply }
    })
}

impl<S, D, P: Product> stages::Claim for Ours<S, D, P> {
    fn delivery(&self) -> &Delivery {
        &self.delivery
    }
}

impl<D, P: Product> fmt::Debug for Line<D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("gate", &self.gate)
            .field("product", &self.verifying.product.name())
            .field("drain", &self.drain)
            .finish_non_exhaustive()
    }
}
