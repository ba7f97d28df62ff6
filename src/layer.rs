use std::{fmt, sync::Arc};

use tower::Layer;

use crate::{
    config::{Clock, InvalidLimits, InvalidTimes, Limits, Times},
    confirm::{Confirm, Unconfirmed},
    delivery::{Conflict, ConflictHook, Namespace},
    process::drain::Drain,
    product::{DefaultProduct, Product},
    request::{Line, Mounted, Settings, gate::Credentials},
    service::SunoCallbackService,
    signature::{KeyRing, SigningKey, UrlSecret},
    store::DedupStore,
    watch::{InvalidPace, Pace, Watchlist},
};

/// Hands each event of a product to the inner service once; see [the crate](crate).
///
/// Every service that one layer makes shares its table of running events and its [`Drain`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use suno_callback::{CallbackKind, MemoryStore, SigningKey, SunoCallbackLayer, Times};
///
/// let layer = SunoCallbackLayer::new(SigningKey::new("the new key of the page")?.labelled("2026-11"), MemoryStore::default())
///     .also_accept(SigningKey::new("the old key of the page")?.labelled("2026-05"))
///     .kind(CallbackKind::Validate)
///     .namespace("singers")
///     .times(Times { tolerance: Duration::from_secs(120), ..Times::default() })?
///     .on_conflict(|conflict| eprintln!("two voices for {}", conflict.task_id()));
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SunoCallbackLayer<D, P: Product = DefaultProduct> {
    settings: Settings<D, P>,
    /// Built from them, and ready to be shared: axum may apply a layer to every request.
    line: Arc<Line<D, P>>,
}

impl<D: DedupStore> SunoCallbackLayer<D> {
    /// For a provider that signs: kie.ai, once its webhook key is enabled in the account settings.
    /// It receives voices; see [`receives`](Self::receives) for other products.
    pub fn new(key: SigningKey, store: D) -> Self {
        Self::with(Credentials::Signed(KeyRing::new(key)), store)
    }

    /// For a provider that does not sign: sunoapi.org, api.box.
    ///
    /// The callback URL must end in `?token=` and the secret. What arrives is worth no more than
    /// that secret; with [`confirm`](Self::confirm) it becomes trustworthy.
    pub fn unsigned(secret: UrlSecret, store: D) -> Self {
        Self::with(Credentials::Unsigned(secret), store)
    }

    fn with(credentials: Credentials, store: D) -> Self {
        Self::of(Settings::new(credentials, store, DefaultProduct::default()))
    }
}

impl<D: DedupStore, P: Product> SunoCallbackLayer<D, P> {
    /// Receives another product's callbacks: no field of theirs says which it is, so the route does.
    /// The handler then gets that product's event.
    ///
    /// # Panics
    ///
    /// After [`confirm`](Self::confirm), [`on_unconfirmed`](Self::on_unconfirmed) or
    /// [`on_conflict`](Self::on_conflict), which speak of the events of the product before: say the
    /// product first.
    ///
    /// # Example
    ///
    /// ```
    /// use suno_callback::product::Music;
    /// use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer};
    ///
    /// let key = SigningKey::new("the key of the settings page")?;
    /// let songs = SunoCallbackLayer::new(key, MemoryStore::default()).receives(Music);
    /// # let _ = songs;
    /// # Ok::<(), suno_callback::InvalidKey>(())
    /// ```
    pub fn receives<Q: Product>(self, product: Q) -> SunoCallbackLayer<D, Q> {
        assert!(
            !self.settings.speaks_of_events(),
            "`receives` comes before `confirm`, `on_unconfirmed` and `on_conflict`",
        );
        SunoCallbackLayer::of(self.settings.of_product(product))
    }

    fn of(settings: Settings<D, P>) -> Self {
        let line = Arc::new(settings.line());
        Self { settings, line }
    }

    /// Changes how long everything may take, and tells the store.
    ///
    /// # Errors
    ///
    /// [`InvalidTimes`] when the times do not go together; see [`Times::check`].
    pub fn times(self, times: Times) -> Result<Self, InvalidTimes> {
        times.check()?;
        let store = &self.settings.store;
        store.set_operation_timeout(times.store_operation);
        Ok(self.with_change(|it| it.times = times))
    }

    /// Accepts signatures of `key` too: while rotating, the old one beside the new one. Nothing
    /// happens for a layer that is [`unsigned`](Self::unsigned).
    ///
    /// The provider has no overlap of its own: callbacks that are under way at the change are
    /// signed with the old key.
    pub fn also_accept(self, key: SigningKey) -> Self {
        self.with_change(|it| {
            if let Credentials::Signed(keys) = Arc::make_mut(&mut it.credentials) {
                keys.push(key);
            }
        })
    }

    /// Separates the slots of this layer from those of another handler of the same product on the same
    /// store. Default: the empty namespace.
    pub fn namespace(self, namespace: impl AsRef<str>) -> Self {
        let name = namespace.as_ref();
        self.with_change(|it| it.namespace = Namespace::new(name, it.product.name()))
    }

    /// Changes how much of everything there may be.
    ///
    /// Comes before the layer is used: services that it has made keep a table of running events of
    /// their own.
    ///
    /// # Errors
    ///
    /// [`InvalidLimits`] when a limit would shut out what is genuine; see [`Limits::check`].
    pub fn limits(self, limits: Limits) -> Result<Self, InvalidLimits> {
        limits.check()?;
        Ok(self.with_change(|it| it.set_limits(limits)))
    }

    /// Compares signatures with another clock than the system's: for tests.
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with_change(|it| it.clock = Arc::new(clock))
    }

    /// Asks the provider before an outcome is handed over: a success, a failure, and what
    /// contradicts itself or is unknown.
    ///
    /// What cannot be confirmed in time is **kept**: the layer asks on about it, whether or not the
    /// provider comes again, and hands the record to the same handler when it is known. Nothing has
    /// to be wired for that; see [`Confirm`], and [`unconfirmed`](Self::unconfirmed) for the other
    /// choices. After a restart the application gives its open tasks to a
    /// [`Reconciler`](crate::Reconciler).
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "client")] {
    /// use suno_callback::client::{ApiKey, SunoClient};
    /// use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer};
    ///
    /// # fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = SunoClient::https(ApiKey::new("the-key-of-the-account")?)?;
    /// let key = SigningKey::new("the key of the settings page")?;
    /// let layer = SunoCallbackLayer::new(key, MemoryStore::default()).confirm(client);
    /// # Ok(()) }
    /// # demo().unwrap();
    /// # }
    /// ```
    pub fn confirm(self, confirm: impl Confirm<P>) -> Self {
        self.with_change(|it| it.set_confirm(Arc::new(confirm)))
    }

    /// What happens to an event that could not be confirmed in time. Default:
    /// [`Unconfirmed::Keep`].
    ///
    /// What is unknown anyway is delivered as such: nothing in it can be acted on.
    pub fn unconfirmed(self, unconfirmed: Unconfirmed) -> Self {
        self.with_change(|it| it.unconfirmed = unconfirmed)
    }

    /// How the layer asks on about what it keeps, and how much it keeps. Without a
    /// [`confirm`](Self::confirm) nothing is kept. Default: [`Pace::default`].
    ///
    /// # Errors
    ///
    /// [`InvalidPace`] when the pace breaks a promise; see [`Pace::check`].
    pub fn keeping(self, pace: Pace) -> Result<Self, InvalidPace> {
        let kept = Watchlist::new(pace)?;
        Ok(self.with_change(|it| it.kept = kept))
    }

    /// Calls `hook` with every claim that could not be confirmed in time, whatever then happens to
    /// it: for metrics, or to have the task watched elsewhere too. Must be quick; a panic in it is
    /// caught.
    pub fn on_unconfirmed(self, hook: impl Fn(&P::Event) + Send + Sync + 'static) -> Self {
        self.with_change(|it| it.on_unconfirmed = Some(Arc::new(hook)))
    }

    /// Calls `hook` when a task succeeds a second time with another result, or when the provider's
    /// record contradicts what was handed over, instead of logging it as an error. Must be quick; a
    /// panic in it is caught.
    pub fn on_conflict(self, hook: impl Fn(&Conflict<P::Event>) + Send + Sync + 'static) -> Self {
        self.with_change(|it| it.on_conflict = Some(ConflictHook(Arc::new(hook))))
    }

    /// The handle that ends this layer's work in order.
    pub fn drain(&self) -> Drain {
        self.settings.drain.clone()
    }

    /// Ends with another layer's work: for the layers of one application, which have one shutdown.
    ///
    /// ```
    /// # use suno_callback::{CallbackKind, MemoryStore, SigningKey, SunoCallbackLayer};
    /// # fn layer() -> SunoCallbackLayer<MemoryStore> {
    /// #     SunoCallbackLayer::new(SigningKey::new("the key of the account").unwrap(), MemoryStore::default())
    /// # }
    /// let voices = layer();
    /// let phrases = layer().kind(CallbackKind::Validate).with_drain(voices.drain());
    /// let drain = phrases.drain(); // closes both
    /// ```
    pub fn with_drain(self, drain: Drain) -> Self {
        self.with_change(|it| it.drain = drain)
    }

    /// The store.
    pub fn store(&self) -> &D {
        &self.settings.store
    }

    pub(crate) fn with_change(mut self, change: impl FnOnce(&mut Settings<D, P>)) -> Self {
        change(&mut self.settings);
        Self::of(self.settings)
    }
}

impl<S, D, P: Product> Layer<S> for SunoCallbackLayer<D, P> {
    type Service = SunoCallbackService<S, D, P>;

    fn layer(&self, inner: S) -> Self::Service {
        SunoCallbackService {
            mounted: Arc::new(Mounted::new(inner, Arc::clone(&self.line))),
        }
    }
}

// Derived, it would ask the store to be `Clone`.
impl<D, P: Product> Clone for SunoCallbackLayer<D, P> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            line: Arc::clone(&self.line),
        }
    }
}

impl<D, P: Product> fmt::Debug for SunoCallbackLayer<D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SunoCallbackLayer")
            .field(&self.line)
            .finish()
    }
}
