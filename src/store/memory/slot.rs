//! One entry: who holds it, or what it remembers.

use std::time::Duration;

use super::{Claim, Held, KEEP_FENCE, MAX_LEASE, Owner, Record, SlotKey, Tick};

pub(super) struct Slot {
    pub(super) key: SlotKey,
    owner: Owner,
    fence: i64,
    /// When its one valid entry in the queues is due: for a done slot, when its retention ends.
    pub(super) due: Tick,
    state: State,
}

enum State {
    Open(Open),
    Done(Kept),
}

/// A slot that is held or was released.
pub(super) struct Open {
    /// When its lease ends; `None` once it was released.
    pub(super) until: Option<Tick>,
    pub(super) changed: Tick,
    attempt: u32,
}

/// A record in no more memory than it needs.
enum Kept {
    Short { len: u8, bytes: [u8; Kept::SHORT] },
    Long(Box<Record>),
}

impl Slot {
    pub(super) fn first(key: SlotKey, owner: Owner, until: Tick, now: Tick) -> Self {
        Self {
            key,
            owner,
            fence: 1,
            due: now.plus(KEEP_FENCE),
            state: State::Open(Open::new(until, now, 1)),
        }
    }

    pub(super) fn claim(&mut self, owner: Owner, until: Tick, now: Tick) -> Claim {
        match &mut self.state {
            State::Done(kept) if self.due > now => return Claim::Done(kept.to_record()),
            State::Done(_) => {
                self.due = now.plus(KEEP_FENCE);
                self.acquire(owner, Open::new(until, now, 1));
            }
            State::Open(open) if open.until.is_some() && self.owner == owner => {
                *open = Open::new(until, now, open.attempt);
            }
            State::Open(open) => {
                if let Some(remaining) = open.lease_left(now) {
                    return Claim::InFlight { remaining };
                }
                let attempt = open.attempt.saturating_add(1);
                self.acquire(owner, Open::new(until, now, attempt));
            }
        }
        Claim::Granted(self.granted())
    }

    fn acquire(&mut self, owner: Owner, open: Open) {
        self.owner = owner;
        self.fence = self.fence.saturating_add(1);
        self.state = State::Open(open);
    }

    fn granted(&self) -> Held {
        let attempt = match &self.state {
            State::Open(open) => open.attempt,
            State::Done(_) => 1,
        };
        Held::new(self.owner, self.fence, attempt)
    }

    /// The slot, if `held` holds it.
    pub(super) fn held(&mut self, held: &Held) -> Option<&mut Open> {
        let is_of = self.is_of(held);
        self.open().filter(|open| is_of && open.until.is_some())
    }

    /// Whether `held` was the last to acquire it.
    pub(super) fn is_of(&self, held: &Held) -> bool {
        self.owner == held.owner() && self.fence == held.fence()
    }

    pub(super) fn finish(&mut self, record: &Record, until: Tick) {
        self.due = until;
        self.state = State::Done(Kept::of(record));
    }

    pub(super) fn open(&mut self) -> Option<&mut Open> {
        match &mut self.state {
            State::Open(open) => Some(open),
            State::Done(_) => None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    pub(super) fn is_done(&self) -> bool {
        !self.is_open()
    }

    pub(super) fn is_released(&self) -> bool {
        matches!(self.state, State::Open(Open { until: None, .. }))
    }

    /// What it remembers, if it is done.
    pub(super) fn record(&self, now: Tick) -> Option<Record> {
        match &self.state {
            State::Done(kept) if self.due > now => Some(kept.to_record()),
            _ => None,
        }
    }
}

impl Open {
    fn new(until: Tick, now: Tick, attempt: u32) -> Self {
        Self {
            until: Some(until),
            changed: now,
            attempt,
        }
    }

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
