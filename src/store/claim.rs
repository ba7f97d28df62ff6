//! Who may handle an event, and what the store says about that.

use std::{fmt, time::Duration};

use super::{Record, hex::write_hex};
use crate::util::random;

/// The answer to a [`DedupStore::claim`](super::DedupStore::claim).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Claim {
    /// The asker holds the slot now.
    Granted(Held),
    /// Somebody else holds it.
    InFlight {
        /// How long the other's lease still lasts, as far as the store knows; zero is allowed.
        remaining: Duration,
    },
    /// It was handled before.
    Done(Record),
}

/// Whether a renewal, a commit or a release was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a lost claim means that somebody else holds the slot"]
pub enum Settled {
    /// It was, now or by an earlier try of the same holder.
    Applied,
    /// The slot is no longer this holder's. Nothing was changed.
    Lost,
}

/// Who claims: 16 opaque bytes, unique to one process and one claim.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(align(8))]
pub struct Owner([u8; 16]);

impl Owner {
    /// One that nobody else has.
    pub(crate) fn random() -> Self {
        Self(random::unique())
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for Owner {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, "Owner", &self.0)
    }
}

/// A granted claim: who holds the slot, under which fence, for the how-manieth time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    owner: Owner,
    fence: i64,
    attempt: u32,
}

impl Held {
    /// Puts a claim together; stores call this.
    ///
    /// `fence` must grow with every acquisition of the slot. `attempt` counts acquisitions from 1.
    pub fn new(owner: Owner, fence: i64, attempt: u32) -> Self {
        Self {
            owner,
            fence,
            attempt,
        }
    }

    /// Who holds the slot.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The fencing token: a database that keeps the highest fence it has seen per task can refuse
    /// a holder that was paused beyond its lease.
    pub fn fence(&self) -> i64 {
        self.fence
    }

    /// 1 for the first acquisition of this slot, 2 for the next.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}
