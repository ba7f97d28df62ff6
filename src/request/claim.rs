//! The step `claim`: who handles this event, if anybody has to.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use super::classify::Classify;
#[cfg(feature = "postgres")]
use crate::delivery::postgres::Ledger;
use crate::{
    delivery::{Arrival, Granted, Namespace, Trust},
    process::{
        drain::Drain,
        patient::PatientStore,
        twins::{Entry, Leader, SlotEnd, Twins},
        variants::Variants,
    },
    product::{Event, Product},
    reply::{Answer, Rejection},
    store::{Claim, DedupStore, Held, Owner, SlotKey},
    util::{clock, timer::by},
};

/// Decides who handles an event.
pub(crate) struct Claiming<D, P: Product> {
    pub(crate) slots: Namespace,
    pub(crate) twins: Arc<Twins>,
    pub(crate) variants: Arc<Variants>,
    pub(crate) store: PatientStore<D>,
    pub(crate) classify: Classify<P::Event>,
    pub(crate) drain: Drain,
    /// How many variants of one task are let through, and for how long they are counted.
    pub(crate) variants_per_task: usize,
    pub(crate) variants_span: Duration,
    pub(crate) retain_final: Duration,
    pub(crate) retain_progress: Duration,
    #[cfg(feature = "postgres")]
    pub(crate) ledger: Option<Ledger>,
}

/// That an event is ours until it is settled.
pub(crate) struct Claimed {
    pub(crate) held: Held,
    pub(crate) leader: Leader,
    /// When the claim was asked for, from which its lease counts.
    pub(crate) asked: Instant,
}

/// What the store decided, and when it was asked.
pub(super) type Decided = (Claim, Instant);

impl<D: DedupStore, P: Product> Claiming<D, P> {
    /// Claims an event. Nothing is held before it is granted, so dropping the future costs at most
    /// one lease: that of a claim whose answer was under way.
    pub(crate) async fn claim(&self, arrival: &Arrival<P::Event>) -> Result<Claimed, Answer> {
        let slot = self.slots.slot(&arrival.event);
        self.admit(arrival, &slot)?;
        let leader = self.lead(arrival, slot).await?;
        let decided = self.ask(arrival.deadline, &slot).await?;
        self.conclude(arrival, leader, decided)
    }

    /// The same for an event that has no variants, where nobody is ahead and the store decides in this
    /// poll. Pending where it is otherwise: what was begun is undone then.
    pub(super) fn claim_at_once(
        &self,
        arrival: &Arrival<P::Event>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Claimed, Answer>> {
        let slot = self.slots.slot(&arrival.event);
        let Entry::Lead(leader) = self.twins.enter(slot) else {
            return Poll::Pending;
        };
        let (owner, asked) = (Owner::random(), clock::now());
        match self.store.claim_at_once(&slot, owner, cx) {
            Some(claim @ (Claim::Granted(_) | Claim::Done(_))) => {
                Poll::Ready(self.conclude(arrival, leader, (claim, asked)))
            }
            Some(Claim::InFlight { .. }) | None => Poll::Pending,
        }
    }

    /// What follows from what the store decided.
    #[inline]
    fn conclude(
        &self,
        arrival: &Arrival<P::Event>,
        leader: Leader,
        (claim, asked): Decided,
    ) -> Result<Claimed, Answer> {
        match claim {
            Claim::Granted(held) => Ok(Claimed {
                held,
                leader,
                asked,
            }),
            Claim::Done(record) => {
                leader.done(record);
                Err(self.classify.answer_from(arrival, &record))
            }
            Claim::InFlight { .. } => Err(Answer::Refused(Rejection::StillInFlight)),
        }
    }

    /// How many ends of one task are let through for each of its other variants: none of them is
    /// genuine twice, and no flood of what leads nowhere may keep one out.
    const ENDS: usize = 16;

    /// Bounds what one captured header pair can make up. Where a stage has no variants there is one
    /// slot for it, and nothing to make up.
    fn admit(&self, arrival: &Arrival<P::Event>, slot: &SlotKey) -> Result<(), Answer> {
        let event = &arrival.event;
        if event.variant().is_empty() || arrival.origin.trust == Trust::Confirmed {
            return Ok(());
        }
        let limit = match event.is_final() {
            true => self.variants_per_task.saturating_mul(Self::ENDS),
            false => self.variants_per_task,
        };
        let task = self.slots.success(event.task_id());
        match self.variants.admit(&task, slot, limit, self.variants_span) {
            true => Ok(()),
            false => Err(Answer::Refused(Rejection::TooManyVariants)),
        }
    }

    /// What goes with a claim.
    pub(super) fn grant(&self, arrival: &Arrival<P::Event>, claimed: &Claimed) -> Granted {
        Granted {
            slot: *claimed.leader.slot(),
            held: claimed.held,
            record: arrival.receipt().to_record(),
            retain: match arrival.event.is_final() {
                true => self.retain_final,
                false => self.retain_progress,
            },
            leased_until: claimed.asked + self.store.times.lease,
            #[cfg(feature = "postgres")]
            ledger: self.ledger.clone(),
        }
    }

    /// Waits for its twins in this process, or leads them to the store.
    ///
    /// A leader whom the store does not answer gives up when its own time is over, and the next twin
    /// starts with its own: while the store is away one request of a slot asks it at a time, and
    /// each is answered at its own deadline at the latest.
    async fn lead(&self, arrival: &Arrival<P::Event>, slot: SlotKey) -> Result<Leader, Answer> {
        loop {
            let follower = match self.twins.enter(slot) {
                Entry::Lead(leader) => return Ok(leader),
                Entry::Handled(record) => {
                    return Err(self.classify.answer_from(arrival, &record));
                }
                Entry::Full => return Err(Answer::Refused(Rejection::TooManyWaiters)),
                Entry::Follow(follower) => follower,
            };
            // Boxed, as all that waits: the way without waiting stays small.
            match Box::pin(by(arrival.deadline, follower.slot_end())).await {
                Some(SlotEnd::Done(record)) => {
                    return Err(self.classify.answer_from(arrival, &record));
                }
                // Whoever is first takes over; nobody borrows another's failure.
                Some(SlotEnd::Free) => {}
                None => return Err(Answer::Refused(Rejection::StillInFlight)),
            }
        }
    }

    /// Claims in the store, for everybody who waits in this process.
    async fn ask(&self, deadline: Instant, slot: &SlotKey) -> Result<Decided, Answer> {
        let owner = Owner::random();
        match self.ask_once(slot, owner, deadline).await? {
            (Some(decided @ (Claim::Granted(_) | Claim::Done(_))), asked) => Ok((decided, asked)),
            first => Box::pin(self.inherit(deadline, slot, owner, first)).await,
        }
    }

    /// Claims once. A lease counts from when it was asked for at the latest.
    pub(super) async fn ask_once(
        &self,
        slot: &SlotKey,
        owner: Owner,
        end: Instant,
    ) -> Result<(Option<Claim>, Instant), Answer> {
        if self.drain.is_ending() {
            return Err(Answer::Refused(Rejection::ShuttingDown));
        }
        let asked = clock::now();
        Ok((self.store.claim_once(slot, owner, end).await, asked))
    }
}
