//! The steps `(confirm) -> claim`: who handles this event, if anybody has to.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    delivery::arrival::{Arrival, Grant},
    delivery::lease::Lease,
    delivery::receipt::Receipt,
    delivery::{Conflict, Trust},
    event::{Meaning, VoiceEvent},
    process::twins::{Lead, Left, Turn},
    reply::{Answer, Disposition, Rejection},
    request::log,
    request::pipeline::Pipeline,
    store::{Claim, DedupStore, Held, Owner, Record, SlotKey},
    util::timer::by,
    util::{panic, random},
};

/// What the store decided, and when it was asked.
pub(crate) type Claimed = (Claim, Instant);

impl<D: DedupStore> Pipeline<D> {
    /// Decides about an event. Nothing is held before it is granted, so dropping the future costs at
    /// most one lease: that of a claim whose answer was under way.
    pub(crate) async fn decide(&self, arrival: &Arrival) -> Result<(Lead, Instant), Answer> {
        self.check(arrival).await?;
        let slot = self.namespace.slot(arrival.event());
        self.admit(arrival, slot)?;
        let lead = self.lead(arrival, slot).await?;
        match self.claim(arrival, &slot).await? {
            (Claim::Granted(held), asked) => {
                arrival.grant(self.grant(arrival, slot, held, asked));
                Ok((lead, asked))
            }
            (Claim::Done(record), _) => {
                lead.done(record);
                Err(self.known(arrival, &record))
            }
            (Claim::InFlight { .. }, _) => Err(Answer::Refused(Rejection::StillInFlight)),
        }
    }

    /// Bounds what one captured header pair can make up.
    fn admit(&self, arrival: &Arrival, slot: SlotKey) -> Result<(), Answer> {
        let event = arrival.event();
        // There are few kinds of progress, and one slot for each.
        let is_bounded = event.is_final() || event.meaning() == Meaning::Pending;
        if is_bounded || arrival.trust() == Trust::Confirmed {
            return Ok(());
        }
        let task = self.namespace.success(arrival.event());
        let span = self.times.tolerance.saturating_mul(2);
        let limit = self.limits.events_per_task;
        match self.variants.admit(&task, &slot, limit, span) {
            true => Ok(()),
            false => Err(Answer::Refused(Rejection::TooManyVariants)),
        }
    }

    fn grant(&self, arrival: &Arrival, slot: SlotKey, held: Held, asked: Instant) -> Grant {
        Grant {
            slot,
            held,
            record: arrival.memory().to_record(),
            retain: self.retention(arrival.event()),
            lease: Lease::ending(asked - arrival.began + self.times.lease),
            #[cfg(feature = "postgres")]
            ledger: crate::delivery::postgres::Ledger::of(&*self.store),
        }
    }

    fn retention(&self, event: &VoiceEvent) -> Duration {
        match event.is_final() {
            true => {
                let outcome = self.times.retain_outcome;
                let outcome = outcome.unwrap_or_else(|| self.store.retention());
                // Whoever says how long: a captured pair must not outlive what it brought.
                outcome.max(self.times.least_retention())
            }
            false => self.times.retain_progress,
        }
    }

    /// Waits for its twins in this process, or leads them to the store.
    ///
    /// A leader whom the store does not answer gives up when its own time is over, and the next twin
    /// starts with its own: while the store is away one request of a slot asks it at a time, and
    /// each is answered at its own deadline at the latest.
    async fn lead(&self, arrival: &Arrival, slot: SlotKey) -> Result<Lead, Answer> {
        loop {
            match self.twins.enter(slot) {
                Turn::Lead(lead) => return Ok(lead),
                Turn::Handled(record) => return Err(self.known(arrival, &record)),
                Turn::Full => return Err(Answer::Refused(Rejection::TooManyWaiters)),
                // Boxed, as all that waits: the way without waiting stays small.
                Turn::Wait(waiter) => match Box::pin(by(arrival.deadline, waiter.left())).await {
                    Some(Left::Done(record)) => return Err(self.known(arrival, &record)),
                    // Whoever is first takes over; nobody borrows another's failure.
                    Some(Left::Free) => {}
                    None => return Err(Answer::Refused(Rejection::StillInFlight)),
                },
            }
        }
    }

    /// Claims in the store, for everybody who waits in this process.
    async fn claim(&self, arrival: &Arrival, slot: &SlotKey) -> Result<Claimed, Answer> {
        let owner = random::owner();
        match self.claim_until(slot, owner, arrival.deadline).await? {
            (Some(decided @ (Claim::Granted(_) | Claim::Done(_))), asked) => Ok((decided, asked)),
            first => Box::pin(self.inherit(arrival, slot, owner, first)).await,
        }
    }

    /// Claims once. A lease counts from when it was asked for at the latest.
    pub(crate) async fn claim_until(
        &self,
        slot: &SlotKey,
        owner: Owner,
        end: Instant,
    ) -> Result<(Option<Claim>, Instant), Answer> {
        if self.drain.is_ending() {
            return Err(Answer::Refused(Rejection::ShuttingDown));
        }
        let asked = Instant::now();
        let claim = || self.store.claim(slot, owner, self.times.lease);
        Ok((self.store_once("claim", || end, claim).await, asked))
    }

    /// The answer to an event whose slot is done with `record`.
    pub(crate) fn known(&self, arrival: &Arrival, record: &Record) -> Answer {
        let Some(first) = Receipt::from_record(record) else {
            // Not ours to guess: it may be of a later version, or the store is damaged.
            log::record_unreadable(arrival);
            return Answer::Refused(Rejection::StoreUnavailable);
        };
        if first.agrees_with(&arrival.memory()) {
            return Answer::Received(Disposition::Duplicate);
        }
        self.report(arrival, &first);
        Answer::Received(Disposition::Conflict)
    }

    pub(crate) fn report(&self, arrival: &Arrival, first: &Receipt) {
        let pair = arrival.signed_at().zip(first.signed_at);
        let conflict = Conflict {
            event: arrival.event().clone(),
            same_header_pair: pair.map(|(this, first)| this == first),
            first_trust: first.trust,
        };
        match &self.on_conflict {
            Some(hook) => panic::caught("on_conflict", || (hook.0)(&conflict)),
            None => log::conflict(&conflict),
        }
    }
}
