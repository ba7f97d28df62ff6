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

use std::{fmt, time::Duration};

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

impl<D: DedupStore, P: Product> Line<D, P> {
    /// Who handles the event, or what it is answered without a handler.
    async fn decide(
        &self,
        arrival: &mut Arrival<P::Event>,
        request: Option<&HandlerRequest>,
    ) -> Result<Claimed, Answer> {
        if handle::is_within_itself(&self.claiming.slots, arrival, request) {
            return Err(Answer::Refused(Rejection::MountedTwice));
        }
        self.confirming.confirm(arrival).await?;
        self.claiming.claim(arrival).await
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
