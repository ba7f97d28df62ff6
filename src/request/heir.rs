//! Whoever was not granted its claim at once: it waits for the holder, or for a store that is away.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::claim::{Claiming, Decided};
use crate::{
    config::Times,
    process::tries::Tries,
    product::Product,
    reply::{Answer, Rejection},
    store::{Claim, DedupStore, Owner, SlotKey},
    util::timer::{Backoff, by},
};

/// What a claimant knows of the claim that it is waiting for.
struct Heir {
    /// Until when the holder's lease surely lives, once the store has named one.
    held_until: Option<Instant>,
    /// Since when the store fails.
    away_since: Option<Instant>,
    /// Whether its last failure was to give no answer.
    hangs: bool,
    polls: Backoff,
    tries: Tries,
}

impl<D: DedupStore, P: Product> Claiming<D, P> {
    /// Claims again and again, after `first` was no decision.
    ///
    /// A holder may have been kept from renewing its lease by the very outage that ends now, and
    /// must be heard first. So after an outage that may have been too long for its lease an heir
    /// looks whether the store is back, waits until the holder must have asked, and claims then.
    pub(super) async fn inherit(
        &self,
        deadline: Instant,
        slot: &SlotKey,
        owner: Owner,
        first: (Option<Claim>, Instant),
    ) -> Result<Decided, Answer> {
        let times = &self.store.times;
        let mut heir = Heir {
            held_until: None,
            away_since: None,
            hangs: false,
            polls: times.backoff(),
            tries: self.store.tries(deadline),
        };
        let (mut claim, mut asked) = first;
        loop {
            let end = match claim {
                Some(Claim::InFlight { remaining }) => {
                    heir.wait_for_holder(deadline, asked, remaining).await?;
                    heir.tries.answered(times);
                    deadline
                }
                Some(decided) => return Ok((decided, asked)),
                None => heir.wait_for_store(deadline, times, asked).await?,
            };
            if let Some(rest) = self.reserve(&heir) {
                (claim, asked) = (None, Instant::now());
                match self.store.peek_once(slot, end).await {
                    Some(Some(record)) => return Ok((Claim::Done(record), asked)),
                    Some(None) => by(end, sleep(rest)).await.unwrap_or_default(),
                    None => continue,
                }
            }
            (claim, asked) = self.ask_once(slot, owner, end).await?;
        }
    }

    /// How long an heir leaves a store that may be back to the holder; `None` where it need not.
    ///
    /// The holder of a lease that lives cannot be robbed. Where the store named none before it went
    /// away there is little to fear, and none is waited for whose lease must have ended long since.
    fn reserve(&self, heir: &Heir) -> Option<Duration> {
        let times = &self.store.times;
        let away = heir.away_since?.elapsed();
        let (spacing, quick) = (times.spacing(), times.quick());
        let is_leased = |until: Instant| Instant::now() + times.store_operation < until;
        if heir.held_until.is_some_and(is_leased) {
            return None;
        }
        // With less than that no lease can have ended: it was renewed a beat before at most.
        let harmless = times
            .lease
            .saturating_sub(times.heartbeat + spacing + quick);
        match heir.held_until {
            // Its pause; where tries hang also the time until it starts another.
            None if away >= times.lease => None,
            None if !heir.hangs => Some(quick * 2),
            None if away < harmless => None,
            _ => Some(spacing + quick * 2),
        }
    }
}

impl Heir {
    const SHORTEST_POLL: Duration = Duration::from_millis(10);

    /// Another process holds the claim: until it is done or free.
    async fn wait_for_holder(
        &mut self,
        deadline: Instant,
        asked: Instant,
        remaining: Duration,
    ) -> Result<(), Answer> {
        self.away_since = None;
        self.held_until = asked.checked_add(remaining);
        let pause = self.polls.pause().min(remaining.max(Self::SHORTEST_POLL));
        let slept = by(deadline, sleep(pause)).await;
        slept.ok_or(Answer::Refused(Rejection::StillInFlight))
    }

    /// The store is away: as long as the deadline leaves the handler its share. Where it had named a
    /// holder, that one may still be done by the deadline.
    async fn wait_for_store(
        &mut self,
        deadline: Instant,
        times: &Times,
        asked: Instant,
    ) -> Result<Instant, Answer> {
        self.away_since.get_or_insert(asked);
        self.hangs = asked.elapsed() > times.quick();
        let away = Answer::Refused(Rejection::StoreUnavailable);
        if self.held_until.is_none() {
            return self.tries.next().await.ok_or(away);
        }
        let due = Instant::now() + self.polls.pause();
        sleep_until(due.min(deadline)).await;
        match due < deadline {
            true => Ok(deadline),
            false => Err(away),
        }
    }
}
