use std::{
    any::{Any, type_name},
    fmt,
    future::Future,
    sync::Arc,
    time::Duration,
};

use tower::BoxError;

use crate::store::{Claim, DedupStore, Held, Owner, Record, Settled, SlotKey};

/// What a store is asked for: the methods of [`DedupStore`] that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`DedupStore::peek`].
    Peek,
    /// [`DedupStore::claim`].
    Claim,
    /// [`DedupStore::renew`].
    Renew,
    /// [`DedupStore::commit`].
    Commit,
    /// [`DedupStore::release`].
    Release,
    /// [`DedupStore::check`].
    Check,
}

/// Decides what becomes of an operation of an [`Intercepted`] store.
///
/// Implementations write a plain `async fn`.
///
/// # Cancellation safety
///
/// What the layer drops as too late is the future that [`intercept`](Self::intercept) gave, and with
/// it the work, unless that was spawned.
pub trait Intercept: Send + Sync + 'static {
    /// Whether every future of it is ready in the poll in which the work is. Default: false.
    #[doc(hidden)]
    const ANSWERS_AT_ONCE: bool = false;

    /// Answers `operation`.
    ///
    /// # Behavior
    ///
    /// `work` is the operation on the store within, and has not begun: awaited, it is applied.
    /// Dropped, it never was. It borrows nothing, so that it can be spawned and be applied when
    /// nobody waits for it any more.
    ///
    /// # Errors
    ///
    /// Whatever the layer is to take for a failure of its store.
    fn intercept<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, BoxError>> + Send + 'static,
    ) -> impl Future<Output = Result<T, BoxError>> + Send;
}

/// A store with somebody in front of it who decides what becomes of each operation: it is counted,
/// fails, hangs, comes late, loses its answer.
///
/// For tests of what your service does while its store is away, and of what you build around a
/// store. Clones share the store and the interceptor. Everything else that a [`DedupStore`] says is
/// what the store within says; its errors are in a box.
///
/// # Example
///
/// The handler, the layer and whatever stands around them, with a store that can be away. On tokio's
/// paused clock the whole patience of the layer is over at once:
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
///
/// use suno_callback::testkit::{Callback, Intercept, Intercepted, ManualClock, Operation};
/// use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer};
/// use tower::{BoxError, Layer, ServiceExt};
/// # use std::{convert::Infallible, future::Future};
/// # use bytes::Bytes;
/// # use http_body_util::Full;
///
/// #[derive(Default)]
/// struct Outage(AtomicBool);
///
/// impl Intercept for Outage {
///     async fn intercept<T: Send + 'static>(
///         &self,
///         _: Operation,
///         work: impl Future<Output = Result<T, BoxError>> + Send + 'static,
///     ) -> Result<T, BoxError> {
///         if self.0.load(SeqCst) {
///             return Err("the database is away".into());
///         }
///         work.await
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Intercepted::new(MemoryStore::default(), Outage::default());
/// let (key, clock) = (SigningKey::new("a key for the tests")?, ManualClock::default());
/// let layer = SunoCallbackLayer::new(key.clone(), store.clone()).clock(clock.clone());
/// # let handler = tower::service_fn(|_: http::Request<Full<Bytes>>| async {
/// #     Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::new())))
/// # });
/// let service = layer.layer(handler);
/// let callback = Callback::success("task-1", "voice-1");
///
/// store.interceptor().0.store(true, SeqCst);
/// let refused = service.clone().oneshot(callback.signed(&key, &clock)).await?;
/// assert_eq!(refused.status(), 503);
/// assert_eq!(refused.headers()["retry-after"], "5");
///
/// store.interceptor().0.store(false, SeqCst);
/// let accepted = service.oneshot(callback.signed(&key, &clock)).await?;
/// assert_eq!(accepted.status(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Intercepted<D, I> {
    inner: Arc<D>,
    interceptor: Arc<I>,
}

impl<D, I> Intercepted<D, I> {
    /// `store`, with `interceptor` in front of it.
    pub fn new(store: D, interceptor: I) -> Self {
        let inner = Arc::new(store);
        let interceptor = Arc::new(interceptor);
        Self { inner, interceptor }
    }

    /// The same store behind another interceptor, as another process reaches it.
    pub fn with<J>(&self, interceptor: J) -> Intercepted<D, J> {
        Intercepted {
            inner: Arc::clone(&self.inner),
            interceptor: Arc::new(interceptor),
        }
    }

    /// The store within, which nobody intercepts.
    pub fn inner(&self) -> &Arc<D> {
        &self.inner
    }

    /// Who decides.
    pub fn interceptor(&self) -> &Arc<I> {
        &self.interceptor
    }
}

impl<D: DedupStore, I: Intercept> Intercepted<D, I> {
    fn intercept<T, F>(
        &self,
        operation: Operation,
        work: impl FnOnce(Arc<D>) -> F,
    ) -> impl Future<Output = Result<T, BoxError>> + Send
    where
        T: Send + 'static,
        F: Future<Output = Result<T, D::Error>> + Send + 'static,
    {
        let work = work(Arc::clone(&self.inner));
        let work = async move { work.await.map_err(Into::into) };
        self.interceptor.intercept(operation, work)
    }
}

// A method that fell back to its default would hide what the store within says.
#[deny(clippy::missing_trait_methods)]
impl<D: DedupStore, I: Intercept> DedupStore for Intercepted<D, I> {
    type Error = BoxError;

    const ANSWERS_AT_ONCE: bool = D::ANSWERS_AT_ONCE && I::ANSWERS_AT_ONCE;

    async fn peek(&self, slot: &SlotKey) -> Result<Option<Record>, BoxError> {
        let slot = *slot;
        let work = move |store: Arc<D>| async move { store.peek(&slot).await };
        self.intercept(Operation::Peek, work).await
    }

    async fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, BoxError> {
        let slot = *slot;
        let work = move |store: Arc<D>| async move { store.claim(&slot, owner, lease).await };
        self.intercept(Operation::Claim, work).await
    }

    async fn renew(
        &self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> Result<Settled, BoxError> {
        let (slot, held) = (*slot, *held);
        let work = move |store: Arc<D>| async move { store.renew(&slot, &held, lease).await };
        self.intercept(Operation::Renew, work).await
    }

    async fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Result<Settled, BoxError> {
        let (slot, held, record) = (*slot, *held, *record);
        let work =
            move |store: Arc<D>| async move { store.commit(&slot, &held, &record, retain).await };
        self.intercept(Operation::Commit, work).await
    }

    async fn release(&self, slot: &SlotKey, held: &Held) -> Result<Settled, BoxError> {
        let (slot, held) = (*slot, *held);
        let work = move |store: Arc<D>| async move { store.release(&slot, &held).await };
        self.intercept(Operation::Release, work).await
    }

    fn retention(&self) -> Duration {
        self.inner.retention()
    }

    async fn check(&self) -> Result<(), BoxError> {
        let work = |store: Arc<D>| async move { store.check().await };
        self.intercept(Operation::Check, work).await
    }

    fn set_operation_timeout(&self, timeout: Duration) {
        self.inner.set_operation_timeout(timeout);
    }

    fn as_any(&self) -> &dyn Any {
        self.inner.as_any()
    }
}

impl<D, I> Clone for Intercepted<D, I> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            interceptor: Arc::clone(&self.interceptor),
        }
    }
}

impl<D, I> fmt::Debug for Intercepted<D, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercepted")
            .field("inner", &type_name::<D>())
            .field("interceptor", &type_name::<I>())
            .finish()
    }
}
