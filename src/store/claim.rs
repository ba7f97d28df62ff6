//! Who may handle an event, and what the store says about that.

use std::{fmt, time::Duration};

use super::{Record, hex::Hex};
use crate::util::random;

/// The answer to a [`DedupStore::claim`](super::DedupStore::claim): who handles the event.
///
/// It is decided by the state in which the slot is at that moment, by the store's own clock:
///
/// | the slot is | the answer |
/// |---|---|
/// | free, released, or done with its retention over | [`Granted`](Self::Granted) |
/// | held, and the lease has ended or ends more than [`MAX_LEASE`](super::MAX_LEASE) ahead | [`Granted`](Self::Granted) |
/// | held by the asker | [`Granted`](Self::Granted) again: same fence and attempt |
/// | held by another | [`InFlight`](Self::InFlight) |
/// | done | [`Done`](Self::Done) |
/// | anything that cannot be understood | an error |
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use suno_callback::store::{Claim, DedupStore, MemoryStore, Owner, Record, SlotKey};
///
/// # async fn demo() -> Result<(), suno_callback::store::StoreFull> {
/// let (store, slot) = (MemoryStore::default(), SlotKey::from([7; 32]));
/// let (ours, theirs) = (Owner::from([1; 16]), Owner::from([2; 16]));
/// let lease = Duration::from_secs(5);
///
/// let Claim::Granted(held) = store.claim(&slot, ours, lease).await? else { panic!("it is free") };
/// // Asked again, as after an answer that was lost.
/// assert_eq!(store.claim(&slot, ours, lease).await?, Claim::Granted(held));
/// let Claim::InFlight { remaining } = store.claim(&slot, theirs, lease).await? else { panic!("it is held") };
/// assert!(remaining <= lease);
///
/// let _ = store.commit(&slot, &held, &Record::EMPTY, lease).await?;
/// assert_eq!(store.claim(&slot, theirs, lease).await?, Claim::Done(Record::EMPTY));
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(demo()).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Claim {
    /// The asker holds the slot now, until the lease ends that it asked for. The layer runs the
    /// handler and renews the lease meanwhile.
    Granted(Held),
    /// Somebody else holds it. The layer asks again, at the latest when the lease has ended.
    InFlight {
        /// How long the other's lease still lasts, as far as the store knows. Zero is allowed, and
        /// means that asking again at once may help. Never more than
        /// [`MAX_LEASE`](super::MAX_LEASE).
        remaining: Duration,
    },
    /// It was handled before, and this is the record that was committed then. The layer compares it
    /// with what has come now: a duplicate, or a conflict.
    Done(Record),
}

/// Whether a renewal, a commit or a release was applied.
///
/// Decided in the same atomic step as the change, by owner and fence together: an earlier holder
/// that wakes up late must find [`Lost`](Self::Lost) and change nothing.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use suno_callback::store::{Claim, DedupStore, MemoryStore, Owner, Record, Settled, SlotKey};
///
/// # async fn demo() -> Result<(), suno_callback::store::StoreFull> {
/// let (store, slot) = (MemoryStore::default(), SlotKey::from([7; 32]));
/// let (owner, heir, lease) = (Owner::from([1; 16]), Owner::from([2; 16]), Duration::from_secs(5));
///
/// let Claim::Granted(held) = store.claim(&slot, owner, lease).await? else { panic!("it is free") };
/// assert_eq!(store.release(&slot, &held).await?, Settled::Applied);
/// let _ = store.claim(&slot, heir, lease).await?;
///
/// // Who held it before comes too late, and changes nothing.
/// assert_eq!(store.commit(&slot, &held, &Record::EMPTY, lease).await?, Settled::Lost);
/// assert_eq!(store.peek(&slot).await?, None);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(demo()).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a lost claim means that somebody else holds the slot"]
pub enum Settled {
    /// It was, now or by an earlier try of the same holder. A claim whose lease has ended is still
    /// its holder's while nobody has taken it.
    Applied,
    /// The slot is no longer this holder's: another has it, or had it, or it is done, released or
    /// forgotten. Nothing was changed. To the layer it means that the handler may have run twice.
    Lost,
}

/// Who claims: 16 opaque bytes, unique to one process and one claim.
///
/// The layer draws them at random for each claim of each event, and keeps them for every repetition
/// of that claim: so a store tells a try whose answer was lost from somebody else. A store compares
/// them and nothing more. They are no secret.
///
/// # Example
///
/// ```
/// use suno_callback::store::Owner;
///
/// let owner = Owner::from([7; 16]); // as it was read from a row
/// assert_eq!(owner.as_bytes(), &[7; 16]);
/// assert_ne!(owner, Owner::from([8; 16]));
/// ```
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
        write!(f, "Owner({})", Hex(&self.0))
    }
}

/// A granted claim: who holds the slot, under which fence, and how often it was acquired until then.
///
/// A store makes one in `claim`, and finds it again in `renew`, `commit` and `release`. A handler
/// sees the same numbers in its [`Delivery`](crate::Delivery).
///
/// # Example
///
/// ```
/// use suno_callback::store::{Held, Owner};
///
/// let first = Held::new(Owner::from([1; 16]), 1, 1);
/// let heir = Held::new(Owner::from([2; 16]), first.fence() + 1, first.attempt() + 1);
/// assert!(heir.fence() > first.fence());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    owner: Owner,
    fence: i64,
    attempt: u32,
}

impl Held {
    /// Puts a claim together; stores call this.
    ///
    /// `fence` must grow with every acquisition of the slot; it is an `i64` because that is what
    /// databases have, and the stores of this crate begin with 1. `attempt` counts acquisitions, and
    /// the first is 1. Both begin anew only with a slot that was forgotten, and a repeated claim of
    /// the same owner gives both again.
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
