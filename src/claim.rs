//! The steps `(confirm) -> claim`: who handles this event, if anybody has to.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use crate::{
    confirm::{Confirmer, Unconfirmed},
    conflict::Conflict,
    delivery::{Delivery, Trust, Via},
    drain::Permit,
    event::{Meaning, VoiceEvent},
    milestone::Memory,
    panic,
    pipeline::{Arrival, Pipeline},
    random,
    rejection::Rejection,
    reply::Disposition,
    store::{Claim, DedupStore, Held, Record, SlotKey},
    timer::{Backoff, by},
    trace,
    twins::{Lead, Left, Turn},
};

/// The right to run the handler for one event.
pub(crate) struct Grant {
    pub(crate) arrival: Arrival,
    pub(crate) delivery: Delivery,
    pub(crate) lead: Lead,
    pub(crate) _permit: Permit,
    pub(crate) granted: Instant,
}

/// The answer to an event that needs no handler, or cannot have one now.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Received(Disposition),
    Refused(Rejection),
}

impl<D: DedupStore> Pipeline<D> {
    /// Decides about an event. Nothing is held before the grant is returned, so dropping the future
    /// costs at most one lease: that of a claim whose answer was under way.
    pub(crate) async fn decide(self: Arc<Self>, mut arrival: Arrival) -> Result<Grant, Answer> {
        let permit = self.drain.permit();
        let claimed = match self.check(&mut arrival).await {
            Ok(()) => self.claim(&arrival).await,
            Err(answer) => Err(answer),
        };
        match claimed {
            Ok((lead, held)) => Ok(self.grant(arrival, lead, held, permit)),
            Err(answer) => {
                trace::answered(&arrival, answer);
                Err(answer)
            }
        }
    }

    fn grant(&self, arrival: Arrival, lead: Lead, held: Held, permit: Permit) -> Grant {
        let delivery = Delivery {
            slot: *lead.slot(),
            held,
            record: arrival.memory().to_record(),
            retain: self.retention(arrival.event.meaning()),
            origin: arrival.origin.clone(),
        };
        Grant {
            arrival,
            delivery,
            lead,
            _permit: permit,
            granted: Instant::now(),
        }
    }

    fn retention(&self, meaning: Meaning) -> std::time::Duration {
        match meaning {
            Meaning::Ready | Meaning::Failed => {
                let outcome = self.times.retain_outcome;
                outcome.unwrap_or_else(|| self.store.retention())
            }
            _ => self.times.retain_progress,
        }
    }

    /// Looks whether the task has succeeded already, and asks the provider where that is wanted.
    /// What is true replaces what arrived, and chooses the slot.
    async fn check(&self, arrival: &mut Arrival) -> Result<(), Answer> {
        let confirmer = self
            .confirmer
            .as_deref()
            .filter(|_| self.wants_truth(arrival));
        if arrival.is_success() && confirmer.is_none() {
            return Ok(());
        }
        let success = self.namespace.success(&arrival.event);
        match (self.peek(&success, arrival.deadline).await?, confirmer) {
            (None, None) => Ok(()),
            (None, Some(confirmer)) => self.confirm(confirmer, arrival).await,
            (Some(record), None) => Err(self.known(arrival, &record, true)),
            (Some(record), Some(confirmer)) => Err(self.settle(confirmer, arrival, &record).await),
        }
    }

    /// The answer to an event of a task that has succeeded. One that names another voice is
    /// settled by the provider's record, unless what stands came from there already.
    async fn settle(
        &self,
        confirmer: &Confirmer,
        arrival: &mut Arrival,
        record: &Record,
    ) -> Answer {
        let memory = arrival.memory();
        let differs = |first: &Memory| arrival.is_success() && !first.agrees_with(&memory);
        let Some(first) = Memory::from_record(record).filter(differs) else {
            return self.known(arrival, record, true);
        };
        if first.trust == Trust::Confirmed {
            return Answer::Received(Disposition::Late);
        }
        if let Some(truth) = self.truth(confirmer, arrival).await {
            arrival.take(truth);
        }
        if arrival.is_success() {
            return self.known(arrival, record, true);
        }
        // The handler was given a success that the provider knows nothing of.
        self.report(arrival, &first);
        Answer::Received(Disposition::Conflict)
    }

    async fn truth(&self, confirmer: &Confirmer, arrival: &Arrival) -> Option<VoiceEvent> {
        confirmer
            .truth(&arrival.event, self.times.confirm, arrival.deadline)
            .await
    }

    fn wants_truth(&self, arrival: &Arrival) -> bool {
        let wanted = match arrival.event.meaning() {
            Meaning::Ready | Meaning::Failed | Meaning::Inconsistent(_) => true,
            Meaning::PhraseReady => self.confirm_phrases,
            Meaning::Pending => false,
        };
        wanted && arrival.origin.via == Via::Callback
    }

    async fn peek(&self, slot: &SlotKey, deadline: Instant) -> Result<Option<Record>, Answer> {
        if let Some(record) = self.twins.handled(slot) {
            return Ok(Some(record));
        }
        let peeked = self.store("peek", deadline, || self.store.peek(slot)).await;
        peeked.ok_or(Answer::Refused(Rejection::StoreUnavailable))
    }

    async fn confirm(&self, confirmer: &Confirmer, arrival: &mut Arrival) -> Result<(), Answer> {
        if let Some(truth) = self.truth(confirmer, arrival).await {
            arrival.take(truth);
            return Ok(());
        }
        trace::unconfirmed(arrival);
        if let Some(hook) = &self.on_unconfirmed {
            panic::caught("on_unconfirmed", || hook(&arrival.event));
        }
        match self.unconfirmed {
            Unconfirmed::Deliver => Ok(()),
            Unconfirmed::Refuse => Err(Answer::Refused(Rejection::Unconfirmed)),
        }
    }

    /// Waits for its twins in this process, or leads them to the store.
    async fn claim(&self, arrival: &Arrival) -> Result<(Lead, Held), Answer> {
        let slot = self.namespace.slot(&arrival.event);
        loop {
            match self.twins.enter(slot) {
                Turn::Lead(lead) => return self.claim_in_store(arrival, lead).await,
                Turn::Handled(record) => return Err(self.known(arrival, &record, false)),
                Turn::Full => return Err(Answer::Refused(Rejection::TooManyWaiters)),
                Turn::Wait(waiter) => match by(arrival.deadline, waiter.left()).await {
                    Some(Left::Done(record)) => return Err(self.known(arrival, &record, false)),
                    // Whoever is first takes over; nobody borrows another's failure.
                    Some(Left::Free) => {}
                    None => return Err(Answer::Refused(Rejection::StillInFlight)),
                },
            }
        }
    }

    /// Claims, and polls while another process holds the claim.
    async fn claim_in_store(&self, arrival: &Arrival, lead: Lead) -> Result<(Lead, Held), Answer> {
        let (owner, lease) = (random::owner(), self.times.lease);
        let mut backoff = Backoff::new(self.times.poll / 5, self.times.poll);
        loop {
            if self.drain.is_ending() {
                return Err(Answer::Refused(Rejection::ShuttingDown));
            }
            let claim = || self.store.claim(lead.slot(), owner, lease);
            match self.store("claim", arrival.deadline, claim).await {
                Some(Claim::Granted(held)) => return Ok((lead, held)),
                Some(Claim::Done(record)) => {
                    lead.done(record);
                    return Err(self.known(arrival, &record, false));
                }
                Some(Claim::InFlight { remaining }) => {
                    let pause = backoff.pause().min(remaining.max(Self::SHORTEST_POLL));
                    let slept = by(arrival.deadline, sleep(pause)).await;
                    slept.ok_or(Answer::Refused(Rejection::StillInFlight))?;
                }
                None => return Err(Answer::Refused(Rejection::StoreUnavailable)),
            }
        }
    }

    const SHORTEST_POLL: std::time::Duration = std::time::Duration::from_millis(10);

    /// The answer to an event whose slot is done, or whose task has succeeded.
    fn known(&self, arrival: &Arrival, record: &Record, in_success_slot: bool) -> Answer {
        let Some(first) = Memory::from_record(record) else {
            // Not ours to guess: it may be of a later version, or the store is damaged.
            trace::record_unreadable(arrival);
            return Answer::Refused(Rejection::StoreUnavailable);
        };
        if !arrival.is_success() {
            return Answer::Received(match in_success_slot {
                true => Disposition::Late,
                false => Disposition::Duplicate,
            });
        }
        if first.agrees_with(&arrival.memory()) {
            return Answer::Received(Disposition::Duplicate);
        }
        self.report(arrival, &first);
        Answer::Received(Disposition::Conflict)
    }

    fn report(&self, arrival: &Arrival, first: &Memory) {
        let pair = arrival.origin.signed_at.zip(first.signed_at);
        let conflict = Conflict {
            event: arrival.event.clone(),
            same_header_pair: pair.map(|(this, first)| this == first),
            first_trust: first.trust,
        };
        match &self.on_conflict {
            Some(hook) => panic::caught("on_conflict", || (hook.0)(&conflict)),
            None => trace::conflict(&conflict),
        }
    }
}
