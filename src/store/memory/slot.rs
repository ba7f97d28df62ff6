//! One entry: who holds it, or what it remembers.

use std::time::Duration;

use super::{Claim, Held, MAX_LEASE, Owner, Record, SlotKey, slab::Place, tick::Tick};

pub(super) struct Slot {
    pub(super) key: SlotKey,
    owner: Owner,
    /// Of a done slot the end of its retention, of any other its last change.
    pub(super) at: Tick,
    state: State,
}

/// Millions of these are what the store's memory goes to.
const _: () = assert!(size_of::<Slot>() <= 104);

enum State {
    /// Nobody's; links the places that can be used again.
    Vacant(Option<Place>),
    Open(Open),
    Done(Done),
}

/// A slot that is held or was released.
struct Open {
    /// When its lease ends; `None` once it was released.
    until: Option<Tick>,
    fence: i64,
    attempt: u32,
    links: Links,
}

/// Its neighbours in the queue of the held or of the released slots.
#[derive(Clone, Copy, Default)]
pub(super) struct Links {
    pub(super) before: Option<Place>,
    pub(super) after: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Held,
    Released,
    Done,
}

/// A record, and the fence under which it was committed, in no more memory than both need.
enum Done {
    Short {
        fence: u16,
        len: u8,
        bytes: [u8; Done::SHORT],
    },
    Long(Box<(i64, Record)>),
}

impl Slot {
    /// A slot that nobody has acquired yet.
    pub(super) fn new(key: SlotKey) -> Self {
        Self {
            key,
            owner: Owner::from([0; 16]),
            at: Tick::from_nanos(0),
            state: State::Vacant(None),
        }
    }

    pub(super) fn vacant(next: Option<Place>) -> Self {
        let state = State::Vacant(next);
        Self {
            state,
            ..Self::new(SlotKey::ZERO)
        }
    }

    pub(super) fn next_vacant(&self) -> Option<Place> {
        match self.state {
            State::Vacant(next) => next,
            _ => None,
        }
    }

    /// Why `owner` cannot have it now, if so.
    pub(super) fn refusal(&self, owner: Owner, now: Tick) -> Option<Claim> {
        match &self.state {
            State::Vacant(_) => None,
            State::Done(_) => self.record(now).map(Claim::Done),
            State::Open(open) => {
                let remaining = open.lease_left(now)?;
                (self.owner != owner).then_some(Claim::InFlight { remaining })
            }
        }
    }

    /// Gives it to `owner`, who keeps fence and attempt where it is the holder already.
    pub(super) fn acquire(&mut self, owner: Owner, until: Tick, now: Tick) -> Held {
        let (fence, attempt) = match &self.state {
            State::Open(open) if open.until.is_some() && self.owner == owner => {
                (open.fence, open.attempt)
            }
            State::Open(open) => (open.fence.saturating_add(1), open.attempt.saturating_add(1)),
            State::Vacant(_) | State::Done(_) => (self.fence().saturating_add(1), 1),
        };
        self.owner = owner;
        self.at = now;
        self.state = State::Open(Open {
            until: Some(until),
            fence,
            attempt,
            links: Links::default(),
        });
        Held::new(owner, fence, attempt)
    }

    /// Whether `held` holds it, with a lease that may have ended.
    pub(super) fn is_held_by(&self, held: &Held) -> bool {
        self.standing() == Some(Standing::Held) && self.is_of(held)
    }

    /// Whether `held` was the last to acquire it.
    pub(super) fn is_of(&self, held: &Held) -> bool {
        self.owner == held.owner() && self.fence() == held.fence()
    }

    /// Under which it was last acquired.
    fn fence(&self) -> i64 {
        match &self.state {
            State::Vacant(_) => 0,
            State::Open(open) => open.fence,
            State::Done(done) => done.fence(),
        }
    }

    /// Sets the end of the lease of an open slot, or releases it.
    pub(super) fn lease(&mut self, until: Option<Tick>, now: Tick) {
        if let State::Open(open) = &mut self.state {
            open.until = until;
            self.at = now;
        }
    }

    pub(super) fn finish(&mut self, record: &Record, until: Tick) {
        self.at = until;
        self.state = State::Done(Done::new(self.fence(), record));
    }

    pub(super) fn standing(&self) -> Option<Standing> {
        match &self.state {
            State::Vacant(_) => None,
            State::Open(open) if open.until.is_some() => Some(Standing::Held),
            State::Open(_) => Some(Standing::Released),
            State::Done(_) => Some(Standing::Done),
        }
    }

    /// What it remembers, if it is done.
    pub(super) fn record(&self, now: Tick) -> Option<Record> {
        match &self.state {
            State::Done(done) if self.at > now => Some(done.record()),
            _ => None,
        }
    }

    #[cfg(test)]
    pub(super) fn after(&self) -> Option<Place> {
        match &self.state {
            State::Open(open) => open.links.after,
            _ => None,
        }
    }

    pub(super) fn links(&mut self) -> Option<&mut Links> {
        match &mut self.state {
            State::Open(open) => Some(&mut open.links),
            _ => None,
        }
    }
}

impl Open {
    /// How long it is still held; a lease that ends absurdly late counts as ended.
    fn lease_left(&self, now: Tick) -> Option<Duration> {
        let until = self.until?;
        (until > now && until <= now.plus(MAX_LEASE)).then(|| now.until(until))
    }
}

impl Done {
    /// What the layer writes fits.
    const SHORT: usize = 43;

    fn new(fence: i64, record: &Record) -> Self {
        Self::short(fence, record).unwrap_or_else(|| Self::Long(Box::new((fence, *record))))
    }

    fn short(fence: i64, record: &Record) -> Option<Self> {
        let record = record.as_bytes();
        let mut bytes = [0; Self::SHORT];
        bytes.get_mut(..record.len())?.copy_from_slice(record);
        Some(Self::Short {
            fence: u16::try_from(fence).ok()?,
            len: u8::try_from(record.len()).ok()?,
            bytes,
        })
    }

    fn fence(&self) -> i64 {
        match self {
            Self::Short { fence, .. } => i64::from(*fence),
            Self::Long(long) => long.0,
        }
    }

    fn record(&self) -> Record {
        match self {
            Self::Short { len, bytes, .. } => {
                let bytes = bytes.get(..usize::from(*len)).unwrap_or_default();
                Record::try_from(bytes).unwrap_or(Record::EMPTY)
            }
            Self::Long(long) => long.1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A done slot has two bytes for a fence, and a box for a larger one.
    #[test]
    fn a_slot_that_was_acquired_very_often_is_committed_under_its_own_fence() {
        const TIMES: u32 = 1 << 16;
        let (lease, now) = (Tick::from_nanos(1), Tick::from_nanos(0));
        let mut slot = Slot::new(SlotKey::ZERO);
        let held = (1..=TIMES).map(|n| {
            let owner = Owner::from(u128::from(n).to_ne_bytes());
            slot.acquire(owner, lease, now)
        });
        let held = held.last().unwrap();
        assert_eq!((held.fence(), held.attempt()), (i64::from(TIMES), TIMES));
        let record = Record::try_from(&b"a result"[..]).unwrap();
        slot.finish(&record, lease);
        assert!(slot.is_of(&held), "so that its commit can be repeated");
        assert_eq!(slot.record(now), Some(record));
        let next = slot.acquire(Owner::from([0; 16]), lease, now);
        assert_eq!((next.fence(), next.attempt()), (held.fence() + 1, 1));
    }
}
