use std::{any::Any, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use tower::BoxError;

use super::{Claim, DedupStore, Held, Owner, Record, Settled, SlotKey};

/// A store whose type was erased, for when the backend is chosen at run time.
///
/// Cheap to clone. Each operation costs one allocation more than the store itself, and everything
/// else is as that store does it: its promises, its [`check`](DedupStore::check) and
/// [`retention`](DedupStore::retention), its errors in a box,
/// [`Delivery::commit_in`](crate::Delivery) of a `PostgresStore`. What is not part of
/// [`DedupStore`], such as `migrate` and `sweep`, is called before the type is erased, or on a clone
/// that was kept.
///
/// # Example
///
/// ```
/// use suno_callback::store::{AnyStore, MemoryStore};
///
/// fn open(url: &str) -> Result<AnyStore, String> {
///     match url {
///         "memory" => Ok(AnyStore::new(MemoryStore::default())),
///         other => Err(format!("{other} is no store")),
///     }
/// }
/// # assert!(open("memory").is_ok() && open("tape").is_err());
/// ```
#[derive(Clone)]
pub struct AnyStore(Arc<dyn ErasedStore>);

impl AnyStore {
    /// Erases the type of `store`.
    pub fn new<D: DedupStore>(store: D) -> Self {
        Self(Arc::new(store))
    }
}

impl fmt::Debug for AnyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyStore").finish_non_exhaustive()
    }
}

// The calls below name the inner trait by its path: `self.0.peek_erased()` on the `Arc` could
// resolve to an implementation for the wrapper and recurse without a warning. And each method is
// forwarded: one that fell back to its default would hide what the store within says.
#[deny(clippy::missing_trait_methods)]
impl DedupStore for AnyStore {
    type Error = BoxError;

    async fn peek(&self, slot: &SlotKey) -> Result<Option<Record>, BoxError> {
        ErasedStore::peek_erased(&*self.0, slot).await
    }

    async fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, BoxError> {
        ErasedStore::claim_erased(&*self.0, slot, owner, lease).await
    }

    async fn renew(
        &self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> Result<Settled, BoxError> {
        ErasedStore::renew_erased(&*self.0, slot, held, lease).await
    }

    async fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Result<Settled, BoxError> {
        ErasedStore::commit_erased(&*self.0, slot, held, record, retain).await
    }

    async fn release(&self, slot: &SlotKey, held: &Held) -> Result<Settled, BoxError> {
        ErasedStore::release_erased(&*self.0, slot, held).await
    }

    fn retention(&self) -> Duration {
        ErasedStore::retention_erased(&*self.0)
    }

    async fn check(&self) -> Result<(), BoxError> {
        ErasedStore::check_erased(&*self.0).await
    }

    fn set_operation_timeout(&self, timeout: Duration) {
        ErasedStore::set_operation_timeout_erased(&*self.0, timeout);
    }

    fn as_any(&self) -> &dyn Any {
        ErasedStore::as_any_erased(&*self.0)
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// The twin of [`DedupStore`] that can be a trait object.
trait ErasedStore: Send + Sync {
    fn peek_erased<'a>(&'a self, slot: &'a SlotKey) -> Answer<'a, Option<Record>>;
    fn claim_erased<'a>(
        &'a self,
        slot: &'a SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Answer<'a, Claim>;
    fn renew_erased<'a>(
        &'a self,
        slot: &'a SlotKey,
        held: &'a Held,
        lease: Duration,
    ) -> Answer<'a, Settled>;
    fn commit_erased<'a>(
        &'a self,
        slot: &'a SlotKey,
        held: &'a Held,
        record: &'a Record,
        retain: Duration,
    ) -> Answer<'a, Settled>;
    fn release_erased<'a>(&'a self, slot: &'a SlotKey, held: &'a Held) -> Answer<'a, Settled>;
    fn retention_erased(&self) -> Duration;
    fn check_erased(&self) -> Answer<'_, ()>;
    fn set_operation_timeout_erased(&self, timeout: Duration);
    fn as_any_erased(&self) -> &dyn Any;
}

impl<D: DedupStore> ErasedStore for D {
    fn peek_erased<'a>(&'a self, slot: &'a SlotKey) -> Answer<'a, Option<Record>> {
        Box::pin(async move { self.peek(slot).await.map_err(Into::into) })
    }

    fn claim_erased<'a>(
        &'a self,
        slot: &'a SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Answer<'a, Claim> {
        Box::pin(async move { self.claim(slot, owner, lease).await.map_err(Into::into) })
    }

    fn renew_erased<'a>(
        &'a self,
        slot: &'a SlotKey,
        held: &'a Held,
        lease: Duration,
    ) -> Answer<'a, Settled> {
        Box::pin(async move { self.renew(slot, held, lease).await.map_err(Into::into) })
    }

    fn commit_erased<'a>(
        &'a self,
        slot: &'a SlotKey,
        held: &'a Held,
        record: &'a Record,
        retain: Duration,
    ) -> Answer<'a, Settled> {
        Box::pin(async move {
            self.commit(slot, held, record, retain)
                .await
                .map_err(Into::into)
        })
    }

    fn release_erased<'a>(&'a self, slot: &'a SlotKey, held: &'a Held) -> Answer<'a, Settled> {
        Box::pin(async move { self.release(slot, held).await.map_err(Into::into) })
    }

    fn retention_erased(&self) -> Duration {
        self.retention()
    }

    fn check_erased(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.check().await.map_err(Into::into) })
    }

    fn set_operation_timeout_erased(&self, timeout: Duration) {
        self.set_operation_timeout(timeout);
    }

    fn as_any_erased(&self) -> &dyn Any {
        self.as_any()
    }
}
