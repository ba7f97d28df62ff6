//! The store as many shards with one capacity.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use super::{
    Claim, Owner, SlotKey, StoreFull,
    deadlines::Due,
    seed::Seed,
    shard::{Outlook, Shard, Victim},
    tick::Tick,
};
use crate::util::lock;

/// A slot always lands in the same shard; which one makes room for a new slot is a matter of all.
pub(super) struct Shards {
    seed: Seed,
    shards: Box<[Mutex<Shard>]>,
    /// Beside each other and not in the shards, because who needs room looks through all.
    boards: Box<[Board]>,
    room: Room,
}

impl Shards {
    /// How many shards compare what they would give up: so few that a full store costs little more
    /// than another, and so many that "expires first" is meant among 200,000.
    const LOOKED_AT: usize = 32;

    /// `count` shards, at least one, of at most `capacity` slots together, at least one.
    pub(super) fn new(count: usize, capacity: usize) -> Self {
        let count = count.max(1);
        Self {
            seed: Seed::random(),
            shards: (0..count).map(|_| Mutex::default()).collect(),
            boards: (0..count).map(|_| Board::default()).collect(),
            room: Room {
                capacity: capacity.max(1),
                taken: AtomicUsize::new(0),
            },
        }
    }

    pub(super) fn len(&self) -> usize {
        self.room.taken.load(Relaxed)
    }

    /// Does one operation on the shard of `key`.
    pub(super) fn with<T>(&self, key: &SlotKey, operation: impl FnOnce(&mut Shard, u64) -> T) -> T {
        let hash = self.seed.hash(key);
        operation(&mut self.lock(self.index(hash)), hash)
    }

    pub(super) fn claim(
        &self,
        key: &SlotKey,
        owner: Owner,
        until: Tick,
        now: Tick,
    ) -> Result<Claim, StoreFull> {
        let hash = self.seed.hash(key);
        let index = self.index(hash);
        {
            let mut shard = self.lock(index);
            self.room.give(shard.sweep(&self.seed, now));
            if let Some(claim) = shard.claim(hash, key, owner, until, now) {
                return Ok(claim);
            }
            if self.room.take() {
                return self.insert(shard, hash, key, owner, until, now);
            }
        }
        // Never two locks at a time.
        self.make_room(index, now)?;
        let mut shard = self.lock(index);
        if let Some(claim) = shard.claim(hash, key, owner, until, now) {
            self.room.give(1);
            return Ok(claim); // somebody else added it meanwhile
        }
        self.insert(shard, hash, key, owner, until, now)
    }

    fn insert(
        &self,
        mut shard: Locked<'_>,
        hash: u64,
        key: &SlotKey,
        owner: Owner,
        until: Tick,
        now: Tick,
    ) -> Result<Claim, StoreFull> {
        shard.insert(hash, key, owner, until, now).ok_or_else(|| {
            self.room.give(1);
            StoreFull
        })
    }

    /// Takes the room of one slot, from another if it must be: from an expired one, or else from
    /// the done one that expires first, or else from the released one that was used least recently.
    fn make_room(&self, start: usize, now: Tick) -> Result<(), StoreFull> {
        // Who finds that another was quicker goes round again.
        while !self.room.take() {
            match self.next_to_go(start, now).ok_or(StoreFull)? {
                (index, None) => self.room.give(self.lock(index).sweep(&self.seed, now)),
                (index, Some(victim)) => {
                    if self.lock(index).evict(&self.seed, victim) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// A shard, and its victim unless something in it has expired. Looks at some shards from
    /// `start` on, and at all only for a done slot.
    fn next_to_go(&self, start: usize, now: Tick) -> Option<(usize, Option<Victim>)> {
        let (mut done, mut released) = (None, None);
        let boards = self.boards.iter().enumerate();
        let around = boards.clone().skip(start).chain(boards.take(start));
        for (count, (index, board)) in around.enumerate() {
            if count >= Self::LOOKED_AT && done.is_some() {
                break;
            }
            let outlook = board.read();
            if outlook.expires <= now {
                return Some((index, None));
            }
            done = first(done, outlook.done.map(|due| (due, index)));
            released = first(released, outlook.released.map(|at| (at, index)));
        }
        let done = done.map(|(due, index)| (index, Some(Victim::Done(due))));
        done.or(released.map(|(at, index)| (index, Some(Victim::Released(at)))))
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.room.capacity
    }

    #[cfg(test)]
    pub(super) fn shard_of(&self, key: &SlotKey) -> usize {
        self.index(self.seed.hash(key))
    }

    fn index(&self, hash: u64) -> usize {
        // From the middle, because the maps inside the shards use both ends.
        let middle = (hash >> 16) as u32;
        ((u64::from(middle) * self.shards.len() as u64) >> 32) as usize
    }

    fn lock(&self, index: usize) -> Locked<'_> {
        #[allow(clippy::indexing_slicing)] // every caller's index is below the length
        let (shard, board) = (&self.shards[index], &self.boards[index]);
        Locked {
            shard: lock(shard),
            board,
        }
    }
}

/// How many slots there are, and may be.
struct Room {
    capacity: usize,
    taken: AtomicUsize,
}

impl Room {
    fn take(&self) -> bool {
        let one_more = |taken: usize| taken.checked_add(1).filter(|more| *more <= self.capacity);
        self.taken.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    }

    fn give(&self, count: usize) {
        if count > 0 {
            self.taken.fetch_sub(count, Relaxed);
        }
    }
}

/// Where a shard shows its outlook to all. Written under its lock.
struct Board {
    expires: AtomicU64,
    done: AtomicU64,
    released: AtomicU64,
}

impl Board {
    const NONE: u64 = u64::MAX;

    fn read(&self) -> Outlook {
        let [expires, done, released] = self.fields().map(|field| field.load(Relaxed));
        Outlook {
            expires: Tick::from_nanos(expires),
            done: (done != Self::NONE).then(|| Due::from_bits(done)),
            released: (released != Self::NONE).then(|| Tick::from_nanos(released)),
        }
    }

    fn write(&self, outlook: Outlook) {
        let done = outlook.done.map_or(Self::NONE, Due::to_bits);
        let released = outlook.released.map_or(Self::NONE, Tick::as_nanos);
        let now = [outlook.expires.as_nanos(), done, released];
        // Mostly little changes, and what is not written stays shared between the cores.
        for (shown, now) in self.fields().into_iter().zip(now) {
            if shown.load(Relaxed) != now {
                shown.store(now, Relaxed);
            }
        }
    }

    fn fields(&self) -> [&AtomicU64; 3] {
        [&self.expires, &self.done, &self.released]
    }
}

impl Default for Board {
    fn default() -> Self {
        let [expires, done, released] = [Self::NONE; 3].map(AtomicU64::new);
        Self {
            expires,
            done,
            released,
        }
    }
}

fn first<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A locked shard, whose board is right again when it is unlocked.
struct Locked<'a> {
    shard: MutexGuard<'a, Shard>,
    board: &'a Board,
}

impl Deref for Locked<'_> {
    type Target = Shard;

    fn deref(&self) -> &Shard {
        &self.shard
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Shard {
        &mut self.shard
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.board.write(self.shard.outlook());
    }
}
