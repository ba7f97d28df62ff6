use std::sync::Arc;

use tower::Layer;

use crate::{
    clock::{Clock, SystemClock},
    confirm::{Confirm, Confirmer, Unconfirmed, UnconfirmedHook},
    conflict::{Conflict, ConflictHook},
    drain::Drain,
    event::{CallbackKind, VoiceEvent},
    gate::{Credentials, Gate},
    milestone::Namespace,
    pipeline::Pipeline,
    service::SunoCallbackService,
    signature::{KeyRing, SigningKey, UrlSecret},
    store::DedupStore,
    times::{InvalidTimes, Limits, Times},
    twins::Twins,
};

/// Hands each voice event to the inner service once; see [the crate](crate).
///
/// Every service that one layer makes shares its table of running events and its [`Drain`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use suno_callback::{CallbackKind, MemoryStore, SigningKey, SunoCallbackLayer, Times};
///
/// let layer = SunoCallbackLayer::new(SigningKey::new("new key")?.labelled("2026-11"), MemoryStore::default())
///     .also_accept(SigningKey::new("old key")?.labelled("2026-05"))
///     .kind(CallbackKind::Validate)
///     .namespace("singers")
///     .times(Times { tolerance: Duration::from_secs(120), ..Times::default() })?
///     .on_conflict(|conflict| eprintln!("two voices for {}", conflict.task_id()));
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SunoCallbackLayer<D> {
    store: Arc<D>,
    twins: Arc<Twins>,
    drain: Drain,
    options: Options,
}

#[derive(Clone)]
struct Options {
    gate: Gate,
    kind: CallbackKind,
    namespace: Arc<str>,
    times: Times,
    limits: Limits,
    confirmer: Option<Arc<Confirmer>>,
    confirm_phrases: bool,
    unconfirmed: Unconfirmed,
    on_unconfirmed: Option<UnconfirmedHook>,
    on_conflict: Option<ConflictHook>,
}

impl<D: DedupStore> SunoCallbackLayer<D> {
    /// For a provider that signs: kie.ai, once its webhook key is enabled in the account settings.
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
        let (times, limits) = (Times::default(), Limits::default());
        Self {
            store: Arc::new(store),
            twins: Arc::new(Twins::new(limits.clone())),
            drain: Drain::new(),
            options: Options {
                gate: Gate {
                    credentials,
                    tolerance: times.tolerance,
                    clock: Arc::new(SystemClock),
                },
                kind: CallbackKind::default(),
                namespace: "".into(),
                times,
                limits,
                confirmer: None,
                confirm_phrases: false,
                unconfirmed: Unconfirmed::default(),
                on_unconfirmed: None,
                on_conflict: None,
            },
        }
    }
}

impl<D> SunoCallbackLayer<D> {
    /// Accepts signatures of `key` too: while rotating, the old one beside the new one. Nothing
    /// happens for a layer that is [`unsigned`](Self::unsigned).
    ///
    /// The provider has no overlap of its own: callbacks that are under way at the change are
    /// signed with the old key.
    pub fn also_accept(mut self, key: SigningKey) -> Self {
        if let Credentials::Signed(keys) = &mut self.options.gate.credentials {
            keys.push(key);
        }
        self
    }

    /// Which callback this route receives. Default [`CallbackKind::Generate`].
    pub fn kind(mut self, kind: CallbackKind) -> Self {
        self.options.kind = kind;
        self
    }

    /// Separates the slots of this layer from those of another handler on the same store. Default:
    /// the empty namespace.
    pub fn namespace(mut self, namespace: impl Into<Arc<str>>) -> Self {
        self.options.namespace = namespace.into();
        self
    }

    /// Changes how long everything may take.
    ///
    /// # Errors
    ///
    /// [`InvalidTimes`] when the times do not go together; see [`Times::check`].
    pub fn times(mut self, times: Times) -> Result<Self, InvalidTimes> {
        times.check()?;
        self.options.gate.tolerance = times.tolerance;
        self.options.times = times;
        Ok(self)
    }

    /// Changes how much of everything there may be. Comes before the first use of the layer:
    /// services that were made already keep theirs.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.twins = Arc::new(Twins::new(limits.clone()));
        if let Some(confirmer) = &mut self.options.confirmer {
            *confirmer = Arc::new(confirmer.bounded(limits.questions));
        }
        self.options.limits = limits;
        self
    }

    /// Compares signatures with another clock than the system's: for tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.options.gate.clock = Arc::new(clock);
        self
    }

    /// Asks the provider before an outcome is handed over: a success, a failure, or an event that
    /// contradicts itself.
    pub fn confirm(mut self, confirm: impl Confirm) -> Self {
        let confirmer = Confirmer::new(Arc::new(confirm), self.options.limits.questions);
        self.options.confirmer = Some(Arc::new(confirmer));
        self
    }

    /// Asks also before a ready phrase is handed over. It costs the phrase some of its short life.
    pub fn confirm_phrases(mut self) -> Self {
        self.options.confirm_phrases = true;
        self
    }

    /// What happens to an outcome that could not be confirmed. Default: [`Unconfirmed::Refuse`].
    pub fn unconfirmed(mut self, unconfirmed: Unconfirmed) -> Self {
        self.options.unconfirmed = unconfirmed;
        self
    }

    /// Calls `hook` with every claim that could not be confirmed, whatever then happens to it: a
    /// place to have the task watched. Must be quick; a panic in it is caught.
    pub fn on_unconfirmed(mut self, hook: impl Fn(&VoiceEvent) + Send + Sync + 'static) -> Self {
        self.options.on_unconfirmed = Some(Arc::new(hook));
        self
    }

    /// Calls `hook` when a task succeeds a second time with another voice, instead of logging it as
    /// an error. Must be quick; a panic in it is caught.
    pub fn on_conflict(mut self, hook: impl Fn(&Conflict) + Send + Sync + 'static) -> Self {
        self.options.on_conflict = Some(ConflictHook(Arc::new(hook)));
        self
    }

    /// The handle that ends this layer's work in order.
    pub fn drain(&self) -> Drain {
        self.drain.clone()
    }

    /// The store.
    pub fn store(&self) -> &D {
        &self.store
    }

    fn pipeline(&self) -> Pipeline<D> {
        let Options {
            gate,
            kind,
            namespace,
            times,
            limits,
            confirmer,
            confirm_phrases,
            unconfirmed,
            on_unconfirmed,
            on_conflict,
        } = self.options.clone();
        Pipeline {
            gate,
            kind,
            namespace: Namespace::new(&namespace, kind),
            store: Arc::clone(&self.store),
            twins: Arc::clone(&self.twins),
            drain: self.drain.clone(),
            times,
            limits,
            confirmer,
            confirm_phrases,
            unconfirmed,
            on_unconfirmed,
            on_conflict,
        }
    }
}

impl<S, D> Layer<S> for SunoCallbackLayer<D> {
    type Service = SunoCallbackService<S, D>;

    fn layer(&self, inner: S) -> Self::Service {
        SunoCallbackService {
            inner,
            pipeline: Arc::new(self.pipeline()),
        }
    }
}

impl<D> Clone for SunoCallbackLayer<D> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            twins: Arc::clone(&self.twins),
            drain: self.drain.clone(),
            options: self.options.clone(),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("gate", &self.gate)
            .field("kind", &self.kind)
            .field("namespace", &self.namespace)
            .field("times", &self.times)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
