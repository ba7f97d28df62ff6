//! One entry: who holds it, or what it remembers.

use std::time::Duration;

use super::{Claim, Held, MAX_LEASE, Owner, Record, SlotKey, slab::Place, tick::Tick};

pub(super) struct Slot {
    pub(super) key: SlotKey,
    owner: Owner,
    fence: i64,
    /// Of a done slot the end of its retention, of any other its last change.
    pub(super) at: Tick,
    state: State,
}

/// Millions of these are what the store's memory goes to.
const _: () = assert!(size_of::<Slot>() <= 112);

enum State {
    /// Nobody's; links the places that can be used again.
    Vacant(Option<Place>),
    Open(Open),
    Done(Kept),
}

/// A slot that is held or was released.
struct Open {
    /// When its lease ends; `None` once it was released.
    until: Option<Tick>,
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

/// A record in no more memory than it needs.
enum Kept {
    Short { len: u8, bytes: [u8; Kept::SHORT] },
    Long(Box<Record>),
}

impl Slot {
    /// A slot that nobody has acquired yet.
    pub(super) fn new(key: SlotKey) -> Self {
        Self {
            key,
            owner: Owner::from([0; 16]),
            fence: 0,
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
        let attempt = match &self.state {
            State::Open(open) if open.until.is_some() && self.owner == owner => open.attempt,
            state => {
                let before = match state {
                    State::Open(open) => open.attempt,
                    State::Vacant(_) | State::Done(_) => 0,
                };
                self.owner = owner;
                self.fence = self.fence.saturating_add(1);
                before.saturating_add(1)
            }
        };
        self.at = now;
        self.state = State::Open(Open {
            until: Some(until),
            attempt,
            links: Links::default(),
        });
        Held::new(owner, self.fence, attempt)
    }

    /// Whether `held` holds it, with a lease that may have ended.
    pub(super) fn is_held_by(&self, held: &Held) -> bool {
        self.standing() == Some(Standing::Held) && self.is_of(held)
    }

    /// Whether `held` was the last to acquire it.
    pub(super) fn is_of(&self, held: &Held) -> bool {
        self.owner == held.owner() && self.fence == held.fence()
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
        self.state = State::Done(Kept::of(record));
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
            State::Done(kept) if self.at > now => Some(kept.to_record()),
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

impl Kept {
    /// What the layer writes fits.
    const SHORT: usize = 46;

    fn of(record: &Record) -> Self {
        Self::short(record).unwrap_or_else(|| Self::Long(Box::new(*record)))
    }

    fn short(record: &Record) -> Option<Self> {
        let record = record.as_bytes();
        let mut bytes = [0; Self::SHORT];
        bytes.get_mut(..record.len())?.copy_from_slice(record);
        let len = u8::try_from(record.len()).ok()?;
        Some(Self::Short { len, bytes })
    }

    fn to_record(&self) -> Record {
        match self {
            Self::Short { len, bytes } => {
                let bytes = bytes.get(..usize::from(*len)).unwrap_or_default();
                Record::try_from(bytes).unwrap_or(Record::EMPTY)
            }
            Self::Long(record) => **record,
        }
    }
}
