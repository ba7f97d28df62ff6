//! One entry: who holds it, or what it remembers.

use std::time::Duration;

use super::{Claim, Held, KEEP_FENCE, MAX_LEASE, Owner, Record, Tick};

pub(super) struct Slot {
    pub(super) owner: Owner,
    pub(super) fence: i64,
    pub(super) attempt: u32,
    pub(super) state: State,
}

#[derive(Clone, Copy)]
pub(super) enum State {
    Open(Open),
    Done { until: Tick, record: Record },
}

/// A slot that is held or was released.
#[derive(Clone, Copy)]
pub(super) struct Open {
    /// When its lease ends; `None` once it was released.
    pub(super) until: Option<Tick>,
    pub(super) changed: Tick,
    /// When its one valid entry in [`Shard::open`] is due.
    pub(super) queued: Tick,
}

impl Slot {
    pub(super) fn first(owner: Owner, until: Tick, now: Tick) -> Self {
        Self {
            owner,
            fence: 1,
            attempt: 1,
            state: State::Open(Open::new(until, now)),
        }
    }

    pub(super) fn claim(&mut self, owner: Owner, until: Tick, now: Tick) -> Claim {
        match &mut self.state {
            State::Done { until, record } if *until > now => return Claim::Done(*record),
            State::Done { .. } => {
                self.state = State::Open(Open::new(until, now));
                self.acquire(owner, 1);
            }
            State::Open(open) => {
                let is_own = open.until.is_some() && self.owner == owner;
                if let (false, Some(remaining)) = (is_own, open.lease_left(now)) {
                    return Claim::InFlight { remaining };
                }
                open.until = Some(until);
                open.changed = now;
                if !is_own {
                    self.acquire(owner, self.attempt.saturating_add(1));
                }
            }
        }
        Claim::Granted(Held::new(self.owner, self.fence, self.attempt))
    }

    pub(super) fn acquire(&mut self, owner: Owner, attempt: u32) {
        self.owner = owner;
        self.fence = self.fence.saturating_add(1);
        self.attempt = attempt;
    }

    pub(super) fn is_of(&self, held: &Held) -> bool {
        self.owner == held.owner() && self.fence == held.fence()
    }

    /// The slot, if `held` holds it.
    pub(super) fn held(&mut self, held: &Held) -> Option<&mut Open> {
        match self.is_of(held).then_some(&mut self.state)? {
            State::Open(open) if open.until.is_some() => Some(open),
            _ => None,
        }
    }

    /// Whether it is open and its valid entry in the queue is the one that is due `at`.
    pub(super) fn is_queued(&self, at: Tick) -> bool {
        matches!(self.state, State::Open(open) if open.queued == at)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }
}

impl Open {
    pub(super) fn new(until: Tick, now: Tick) -> Self {
        Self {
            until: Some(until),
            changed: now,
            queued: now.plus(KEEP_FENCE),
        }
    }

    /// How long it is still held; a lease that ends absurdly late counts as ended.
    pub(super) fn lease_left(&self, now: Tick) -> Option<Duration> {
        let until = self.until?;
        (until > now && until <= now.plus(MAX_LEASE)).then(|| now.until(until))
    }
}
