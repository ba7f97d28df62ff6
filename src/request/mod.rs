//! The way of a request, a file per step.
//!
//! ```text
//! &Request --gate--> SignedHead
//! SignedHead + Bytes --verify--> Arrival        genuine, and nobody holds it
//! Arrival --confirm, claim--> Claimed | Answer  ours, with its place in this process and its lease
//! Claimed --> Delivery                          what the handler sees
//! Claimed + Caller --handle, settle--> Handled  reply and answer
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

use std::{fmt, future::poll_fn, sync::Arc, time::Duration};

use self::{
    caller::BoxCaller,
    claim::{Claimed, Claiming},
    confirm::Confirming,
    gate::Gate,
    handle::Handling,
    keep::Keeping,
    settle::Settling,
    stages::Undecided,
    verify::Verifying,
};
use crate::{
    delivery::{Arrival, Delivery},
    process::drain::{Drain, Permit},
    product::Product,
    reply::{Answer, Rejection},
    store::DedupStore,
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
struct Ours<D, P: Product, H, E> {
    line: Arc<Line<D, P>>,
    claimed: Claimed<P::Event>,
    caller: BoxCaller<H, E>,
    permit: Permit,
}

impl<D: DedupStore, P: Product> Line<D, P> {
    /// (confirm) -> claim -> inner service -> commit | release -> reply
    pub(crate) fn run<H, E>(
        self: Arc<Self>,
        arrival: Arrival<P::Event>,
        caller: BoxCaller<H, E>,
    ) -> Undecided<Handled<H, E>>
    where
        H: Send + 'static,
        E: Send + 'static,
    {
        Undecided::new(self.decide(arrival, caller), handle)
    }

    /// Takes a record that a poll found the way of a callback, from the claim on. No deadline cuts
    /// its handler; twins are waited for as long as a callback would.
    ///
    /// # Cancellation safety
    ///
    /// As for a response: once the handler runs, it runs to its end.
    pub(crate) async fn hand_over<H, E>(
        self: Arc<Self>,
        record: P::Event,
        caller: BoxCaller<H, E>,
    ) -> Answer
    where
        H: Send + 'static,
        E: Send + 'static,
    {
        if self.drain.is_closed() {
            return Answer::Refused(Rejection::ShuttingDown);
        }
        let arrival = self.verifying.polled(record);
        let mut undecided = self.run(arrival, caller);
        match poll_fn(|cx| undecided.poll(cx)).await {
            Err(ended) => ended.answer,
            Ok(delivery) => {
                let mut granted = undecided.granted(delivery);
                poll_fn(|cx| granted.poll(cx)).await.answer
            }
        }
    }

    /// Who handles the event, and with what; or how it ended without a handler.
    async fn decide<H, E>(
        self: Arc<Self>,
        arrival: Arrival<P::Event>,
        mut caller: BoxCaller<H, E>,
    ) -> Result<Ours<D, P, H, E>, Handled<H, E>>
    where
        H: Send + 'static,
        E: Send + 'static,
    {
        let permit = self.drain.permit();
        let slots = &self.claiming.slots;
        let decided = match handle::is_within_itself(slots, &arrival, caller.as_mut()) {
            true => Err((arrival, Answer::Refused(Rejection::MountedTwice))),
            false => match self.confirming.confirm(arrival).await {
                Ok(arrival) => self.claiming.claim(arrival).await,
                Err(answered) => Err(answered),
            },
        };
        match decided {
            Ok(claimed) => {
                let subject = claimed.delivery.subject();
                self.keep_undecided(&claimed.event, subject, &mut caller);
                Ok(Ours {
                    line: self,
                    claimed,
                    caller,
                    permit,
                })
            }
            Err((arrival, answer)) => {
                log::answered(arrival.subject(), answer);
                self.keep_refused(&arrival, answer, caller);
                let reply = Ok(answer.reply());
                Err(Handled { answer, reply })
            }
        }
    }
}

/// inner service -> commit | release -> reply
async fn handle<D, P, H, E>(ours: Ours<D, P, H, E>) -> Handled<H, E>
where
    D: DedupStore,
    P: Product,
    H: Send + 'static,
    E: Send + 'static,
{
    let Ours {
        line,
        claimed,
        mut caller,
        permit,
    } = ours;
    let Claimed {
        event,
        delivery,
        leader,
        asked,
    } = claimed;
    let kept = line
        .keeping
        .as_ref()
        .map(|keeping| (keeping, event.clone()));
    if let Some(request) = caller.as_mut().request_mut() {
        handle::prepare(request, event, &delivery);
    }
    let (ended, at_once) = line.handling.drive(&delivery, asked, caller).await;
    let is_success = ended.is_success();
    let now = at_once.then_some(asked);
    let settling = &line.settling;
    let how = settling.settle(&delivery, leader, permit, is_success, now);
    let how = how.await;
    log::handled(delivery.subject(), how, ended.stopped(), asked);
    let answer = ended.answer(how);
    if let Some((keeping, event)) = kept {
        keeping.learn(&event, answer);
    }
    let reply = ended.reply(how);
    Handled { answer, reply }
}

impl<D, P: Product, H, E> stages::Claim for Ours<D, P, H, E> {
    fn delivery(&self) -> &Delivery {
        &self.claimed.delivery
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
