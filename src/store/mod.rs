//! Where the layer remembers what was handled: the [`DedupStore`] trait, its laws, and its
//! implementations.
//!
//! A store maps an opaque 32-byte [`SlotKey`] to one of three states:
//!
//! ```text
//!          claim                    commit
//!   free ----------> held(owner, ----------> done(record)
//!    ^               fence, lease)                until retention ends
//!    +------ release -----+
//! ```
//!
//! With what happens when a lease ends, and to those who come too late:
//!
#![doc = include_str!("../../docs/diagrams/slot.svg")]
//!
//! # Laws
//!
//! 1. A slot has at most one holder whose lease has not ended.
//! 2. The fence grows with every acquisition, also after a release.
//! 3. [`renew`](DedupStore::renew), [`commit`](DedupStore::commit) and
//!    [`release`](DedupStore::release) apply only for the current owner and fence; anything else is
//!    [`Settled::Lost`] and changes nothing.
//! 4. [`claim`](DedupStore::claim) and [`commit`](DedupStore::commit) are idempotent for their
//!    owner: repeated after a lost answer they give the same fence and the same attempt, or
//!    [`Settled::Applied`].
//! 5. A claim whose lease has ended and that nobody took is still its owner's.
//! 6. Done is absorbing until its retention ends; the release of a done slot is
//!    [`Settled::Lost`].
//! 7. A held or released slot is kept for [`KEEP_FENCE`] after its last change, so that its fence
//!    survives.
//! 8. Leases run on the store's own clock, and one that ends more than [`MAX_LEASE`] ahead counts
//!    as ended: a clock that stepped back must not lock a slot for hours.
//! 9. What cannot be understood is an error, never a free slot.
//! 10. Every operation is one atomic statement or script, and dropping its future at any point
//!     leaves one of the two legal states.
//!
//! The `testkit` feature has these laws as functions that run against any store.
//!
//! # Which one
//!
//! | store | feature | for | a restart of the receiver | a crash of the store |
//! |---|---|---|---|---|
//! | [`MemoryStore`] | | one process | forgets everything | is the same |
//! | `SqliteStore` | `sqlite` | the processes of one host | forgets nothing | forgets nothing |
//! | `PostgresStore` | `postgres` | many replicas | forgets nothing | forgets nothing, with its default settings |
//! | `RedisStore` | `redis` | many replicas | forgets nothing | forgets what its file had not got: a second, or everything |
//! | [`AnyStore`] | | whichever of them, chosen at run time | | |
//!
//! To forget never loses an event: it is handled again if the provider sends it again. A store
//! that cannot be reached is asked again for as long as the answer's deadline leaves the handler its
//! share, by default for 9 seconds; then callbacks are answered with 503 and the provider repeats
//! them. Its three retries are what a longer outage uses up, and a [`Reconciler`](crate::Reconciler)
//! finds what they missed. Receivers that share a store must have clocks of their own right to
//! within the signature's tolerance and nothing more: leases run on the store's.

mod claim;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod connections;
mod erased;
mod hex;
mod memory;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod millis;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod record;
#[cfg(feature = "redis")]
mod redis;
mod slot_key;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sweeper;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod table_name;
mod trial;

pub use self::claim::{Claim, Held, Owner, Settled};
pub use self::erased::AnyStore;
pub use self::memory::{MemoryStore, StoreFull};
#[cfg(feature = "postgres")]
pub use self::postgres::{CommitError, PostgresStore, PostgresStoreError};
pub use self::record::{Record, RecordTooLong};
#[cfg(feature = "redis")]
pub use self::redis::{Eviction, RedisConnect, RedisStore, RedisStoreError};
pub use self::slot_key::SlotKey;
#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteStore, SqliteStoreError};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::table_name::InvalidTableName;

use std::{any::Any, future::Future, time::Duration};

use tower::BoxError;

/// The longest lease that a store grants or believes in: 60 seconds.
pub const MAX_LEASE: Duration = Duration::from_secs(60);

/// How long a held or released slot is kept after its last change: one hour.
pub const KEEP_FENCE: Duration = Duration::from_secs(3600);

/// Remembers which events are being handled and which are done.
///
/// Implementations write plain `async fn`s. Read the [laws](crate::store#laws) first, and run the
/// `testkit` against what you wrote.
///
/// # Cancellation safety
///
/// The layer drops these futures: on a timeout, and when the peer hangs up before its claim was
/// granted. A dropped operation must either have happened or not; the layer repeats it with the
/// same owner and fence and relies on law 4.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use suno_callback::store::{Claim, DedupStore, MemoryStore, Owner, SlotKey};
///
/// # async fn demo() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let store = MemoryStore::default();
/// let slot = SlotKey::from([7; 32]);
/// let Claim::Granted(held) = store.claim(&slot, Owner::from([1; 16]), Duration::from_secs(5)).await?
/// else {
///     panic!("nobody else is here");
/// };
/// assert_eq!(held.attempt(), 1);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(demo()).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `DedupStore`",
    note = "implement it with plain `async fn`s, or use `MemoryStore` or `AnyStore`"
)]
pub trait DedupStore: Send + Sync + 'static {
    /// What goes wrong in the backend. The layer logs it and tries again.
    type Error: Into<BoxError> + Send;

    /// Whether every future of it is ready at its first poll. Then the layer decides in place, and
    /// begins anew where it has to wait for something else. Default: false.
    #[doc(hidden)]
    const ANSWERS_AT_ONCE: bool = false;

    /// Looks whether `slot` is done, without claiming it.
    ///
    /// # Behavior
    ///
    /// - `Some` only when the slot is done and its retention has not ended.
    /// - It is a hint: the answer may be outdated when it arrives.
    ///
    /// # Errors
    ///
    /// When the backend cannot answer, or holds something that cannot be understood.
    fn peek(
        &self,
        slot: &SlotKey,
    ) -> impl Future<Output = Result<Option<Record>, Self::Error>> + Send;

    /// Asks to be the one who handles `slot` for the length of `lease`.
    ///
    /// # Behavior
    ///
    /// - Free, or held with a lease that has ended: granted, with a higher fence and attempt.
    /// - Held by the same `owner`: granted again, same fence and attempt, lease from now.
    /// - Held by another: [`Claim::InFlight`].
    /// - Done: [`Claim::Done`], whoever asks.
    ///
    /// # Errors
    ///
    /// As for [`peek`](Self::peek); the claim may or may not have been applied.
    fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> impl Future<Output = Result<Claim, Self::Error>> + Send;

    /// Extends the lease of a held slot to `lease` from now.
    ///
    /// # Errors
    ///
    /// As for [`peek`](Self::peek); the renewal may or may not have been applied.
    fn renew(
        &self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> impl Future<Output = Result<Settled, Self::Error>> + Send;

    /// Marks a held slot done and keeps `record` for the length of `retain`, which may be
    /// [`Duration::MAX`]: for ever.
    ///
    /// # Errors
    ///
    /// As for [`peek`](Self::peek); the commit may or may not have been applied.
    fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> impl Future<Output = Result<Settled, Self::Error>> + Send;

    /// Gives a held slot back, so that the next claim is granted at once.
    ///
    /// # Errors
    ///
    /// As for [`peek`](Self::peek); the release may or may not have been applied.
    fn release(
        &self,
        slot: &SlotKey,
        held: &Held,
    ) -> impl Future<Output = Result<Settled, Self::Error>> + Send;

    /// How long this store would keep a success or a failure, where the application does not say.
    ///
    /// Default: 30 days. Stores that pay for each entry with memory say less.
    fn retention(&self) -> Duration {
        Duration::from_secs(30 * 24 * 3600)
    }

    /// Tries whether this store can do what a callback needs, for the start of an application and
    /// for its readiness probe.
    ///
    /// # Behavior
    ///
    /// - A claim and its release on a slot that only checks use. What fails here fails callbacks
    ///   too, and the error says why; what cannot be written is found out, not only what cannot be
    ///   read.
    /// - Any number of processes may check as often as they like, at the same time too: all of them
    ///   share 64 slots, and one that is in use is not a failure.
    /// - A store may override it to look at more, and forward it where it stands around another.
    ///
    /// # Errors
    ///
    /// What stands in the way.
    ///
    /// # Cancellation safety
    ///
    /// Dropped, it leaves at most one slot of its own claimed for a second. Give it a timeout of
    /// your own where a prober wants an answer in time.
    ///
    /// # Example
    ///
    /// ```
    /// use suno_callback::{DedupStore, MemoryStore};
    ///
    /// # async fn demo() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let store = MemoryStore::default();
    /// store.check().await?; // at the start; and again in the handler of `GET /readyz`
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(demo()).unwrap();
    /// ```
    fn check(&self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        trial::trial(self)
    }

    /// Hears how long the layer waits for one operation before it drops its future and tries again:
    /// [`Times::store_operation`](crate::Times::store_operation).
    ///
    /// The layer says so when it is made, and again with [`times`](crate::SunoCallbackLayer::times);
    /// the last word counts. A store whose backend waits for something, such as a lock, waits less
    /// than that, so that its answer still has a hearer. A store that stands around another forwards
    /// it.
    ///
    /// Default: nothing happens.
    fn set_operation_timeout(&self, timeout: Duration) {
        let _ = timeout;
    }

    /// The store itself, which is where [`Delivery::commit_in`](crate::Delivery) looks for a
    /// `PostgresStore`. A store that stands around another forwards it.
    fn as_any(&self) -> &dyn Any
    where
        Self: Sized,
    {
        self
    }
}
