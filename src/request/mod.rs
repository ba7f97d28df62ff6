//! The way of a request, a file per step.
//!
//! ```text
//! &Request --gate--> SignedHead
//! SignedHead + Bytes --verify--> Arrival        genuine, and nobody holds it
//! Arrival --confirm, claim--> Claimed | Answer  ours, with its place in this process and its lease
//! Claimed --> Delivery                          what the handler sees
//! Claimed + Mounted --handle, settle--> Handled  reply and answer
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
mod mounted;
mod running;
mod settings;
mod settle;
pub(crate) mod stages;
mod verify;

pub(crate) use self::{handle::Handled, mounted::Mounted, settings::Settings};

use std::{
    fmt,
    future::Future,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use self::{
    caller::HandlerRequest,
    claim::{Claimed, Claiming},
    confirm::Confirming,
    gate::Gate,
    handle::Handling,
    keep::Keeping,
    settle::Settling,
    verify::Verifying,
};
use crate::{
    delivery::Arrival,
    process::drain::Drain,
    product::{Event, Product},
    reply::Answer,
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

impl<D: DedupStore, P: Product> Line<D, P> {
    /// Who handles the event, or what it is answered without a handler.
    async fn decide(
        &self,
        arrival: &mut Arrival<P::Event>,
        request: Option<&HandlerRequest>,
    ) -> Result<Claimed, Answer> {
        handle::refuse_within_itself(&self.claiming.slots, arrival, request)?;
        self.confirming.confirm(arrival).await?;
        self.claiming.claim(arrival).await
    }

    /// The same in one poll, where there is no confirmer. Pending where somebody has to be waited for:
    /// what was begun is undone then.
    fn decide_at_once(
        &self,
        arrival: &mut Arrival<P::Event>,
        request: Option<&HandlerRequest>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Claimed, Answer>> {
        // Nothing but its claim decides on a success, and without a state to come back to that costs
        // less.
        if arrival.is_success() && arrival.event.variant().is_empty() {
            handle::refuse_within_itself(&self.claiming.slots, arrival, request)?;
            return self.claiming.claim_at_once(arrival, cx);
        }
        pin!(self.decide(arrival, request)).poll(cx)
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
