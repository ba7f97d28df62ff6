//! The steps `(confirm) -> claim`: who handles this event, if anybody has to.

use std::time::Duration;

use http::Response;
use tokio::time::sleep;

use crate::{
    arrival::{Arrival, Grant},
    conflict::Conflict,
    delivery::Trust,
    event::{Meaning, VoiceEvent},
    milestone::Memory,
    panic,
    pipeline::Pipeline,
    random,
    rejection::Rejection,
    reply::{self, Disposition, ResponseBody},
    store::{Claim, DedupStore, Held, Owner, Record, SlotKey},
    timer::{Backoff, by},
    trace,
    twins::{Lead, Left, Turn},
};

/// The answer to an event that needs no handler, or cannot have one now.
#[derive(Clone, Copy, Debug)]
#[repr(align(8))]
pub(crate) enum Answer {
    Received(Disposition),
    Refused(Rejection),
}

impl Answer {
    pub(crate) fn reply<B>(self) -> Response<ResponseBody<B>> {
        match self {
            Self::Received(disposition) => reply::received(disposition),
            Self::Refused(rejection) => reply::refused(rejection),
        }
    }
}

impl<D: DedupStore> Pipeline<D> {
    /// Decides about an event. Nothing is held before it is granted, so dropping the future costs at
    /// most one lease: that of a claim whose answer was under way.
    pub(crate) async fn decide(&self, arrival: &Arrival) -> Result<Lead, Answer> {
        self.check(arrival).await?;
        let slot = self.namespace.slot(arrival.event());
        self.admit(arrival, slot)?;
        let lead = self.lead(arrival, slot).await?;
        match self.claim(arrival, &lead).await? {
            Claim::Granted(held) => {
                arrival.grant(self.grant(arrival, &lead, held));
                Ok(lead)
            }
            Claim::Done(record) => {
                lead.done(record);
                Err(self.known(arrival, &record))
            }
            Claim::InFlight { .. } => Err(Answer::Refused(Rejection::StillInFlight)),
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
        match self.variants.admit(&task, slot, self.limits.variants, span) {
            true => Ok(()),
            false => Err(Answer::Refused(Rejection::TooManyVariants)),
        }
    }

    fn grant(&self, arrival: &Arrival, lead: &Lead, held: Held) -> Grant {
        Grant {
            slot: *lead.slot(),
            held,
            record: arrival.memory().to_record(),
            retain: self.retention(arrival.event()),
            #[cfg(feature = "postgres")]
            ledger: crate::store::postgres::Ledger::of(&*self.store),
        }
    }

    fn retention(&self, event: &VoiceEvent) -> Duration {
        match event.is_final() {
            true => {
                let outcome = self.times.retain_outcome;
                outcome.unwrap_or_else(|| self.store.retention())
            }
            false => self.times.retain_progress,
        }
    }

    /// Waits for its twins in this process, or leads them to the store.
    ///
    /// A leader whom the store does not answer gives up after its own tries, and the next twin
    /// starts with tries of its own: while the store is away one request of a slot asks it at a
    /// time, and each is answered at its own deadline at the latest.
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
    async fn claim(&self, arrival: &Arrival, lead: &Lead) -> Result<Claim, Answer> {
        let owner = random::owner();
        match self.claim_once(arrival, lead, owner).await? {
            Claim::InFlight { remaining } => {
                Box::pin(self.poll_claim(arrival, lead, owner, remaining)).await
            }
            decided => Ok(decided),
        }
    }

    async fn claim_once(
        &self,
        arrival: &Arrival,
        lead: &Lead,
        owner: Owner,
    ) -> Result<Claim, Answer> {
        if self.drain.is_ending() {
            return Err(Answer::Refused(Rejection::ShuttingDown));
        }
        let claim = || self.store.claim(lead.slot(), owner, self.times.lease);
        let claimed = self.store("claim", arrival.deadline, claim).await;
        claimed.ok_or(Answer::Refused(Rejection::StoreUnavailable))
    }

    /// Another process holds the claim: looks again and again until it is done or free.
    async fn poll_claim(
        &self,
        arrival: &Arrival,
        lead: &Lead,
        owner: Owner,
        mut remaining: Duration,
    ) -> Result<Claim, Answer> {
        let mut backoff = Backoff::new(self.times.poll / 5, self.times.poll);
        loop {
            let pause = backoff.pause().min(remaining.max(Self::SHORTEST_POLL));
            let slept = by(arrival.deadline, sleep(pause)).await;
            slept.ok_or(Answer::Refused(Rejection::StillInFlight))?;
            match self.claim_once(arrival, lead, owner).await? {
                Claim::InFlight { remaining: left } => remaining = left,
                decided => return Ok(decided),
            }
        }
    }

    const SHORTEST_POLL: Duration = Duration::from_millis(10);

    /// The answer to an event whose slot is done with `record`.
    pub(crate) fn known(&self, arrival: &Arrival, record: &Record) -> Answer {
        let Some(first) = Memory::from_record(record) else {
            // Not ours to guess: it may be of a later version, or the store is damaged.
            trace::record_unreadable(arrival);
            return Answer::Refused(Rejection::StoreUnavailable);
        };
        if first.agrees_with(&arrival.memory()) {
            return Answer::Received(Disposition::Duplicate);
        }
        self.report(arrival, &first);
        Answer::Received(Disposition::Conflict)
    }

    pub(crate) fn report(&self, arrival: &Arrival, first: &Memory) {
        let pair = arrival.signed_at().zip(first.signed_at);
        let conflict = Conflict {
            event: arrival.event().clone(),
            same_header_pair: pair.map(|(this, first)| this == first),
            first_trust: first.trust,
        };
        match &self.on_conflict {
            Some(hook) => panic::caught("on_conflict", || (hook.0)(&conflict)),
            None => trace::conflict(&conflict),
        }
    }
}
