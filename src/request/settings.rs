use std::sync::Arc;

use super::{
    Line,
    claim::Claiming,
    classify::Classify,
    confirm::Confirming,
    gate::{Credentials, Gate},
    handle::Handling,
    heartbeat::Heartbeat,
    keep::Keeping,
    settle::Settling,
    verify::Verifying,
};
use crate::{
    config::{Clock, Limits, SystemClock, Times},
    confirm::{ErasedConfirm, Unconfirmed, UnconfirmedHook},
    delivery::{ConflictHook, Namespace},
    metrics::EventMeters,
    process::{
        confirmer::Confirmer, drain::Drain, patient::PatientStore, twins::Twins, variants::Variants,
    },
    product::Product,
    store::DedupStore,
    watch::{Source, Watchlist},
};

/// What the application has decided about a layer, from which its [`Line`] is built.
pub(crate) struct Settings<D, P: Product> {
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) product: P,
    pub(crate) namespace: Namespace,
    pub(crate) store: Arc<D>,
    pub(crate) times: Times,
    pub(crate) limits: Limits,
    pub(crate) twins: Arc<Twins>,
    pub(crate) variants: Arc<Variants>,
    pub(crate) drain: Drain,
    pub(crate) confirm: Option<Arc<dyn ErasedConfirm<P>>>,
    pub(crate) confirmer: Option<Arc<Confirmer<P>>>,
    pub(crate) kept: Watchlist<P::Event>,
    pub(crate) unconfirmed: Unconfirmed,
    pub(crate) on_unconfirmed: Option<UnconfirmedHook<P::Event>>,
    pub(crate) on_conflict: Option<ConflictHook<P::Event>>,
}

impl<D: DedupStore, P: Product> Settings<D, P> {
    pub(crate) fn new(credentials: Credentials, store: D, product: P) -> Self {
        let (times, limits) = (Times::default(), Limits::default());
        store.set_operation_timeout(times.store_operation);
        Self {
            credentials: Arc::new(credentials),
            clock: Arc::new(SystemClock),
            namespace: Namespace::new("", product.name()),
            product,
            store: Arc::new(store),
            times,
            twins: Arc::new(Twins::new(limits.clone())),
            variants: Arc::new(Variants::new()),
            limits,
            drain: Drain::new(),
            confirm: None,
            confirmer: None,
            kept: Watchlist::default(),
            unconfirmed: Unconfirmed::default(),
            on_unconfirmed: None,
            on_conflict: None,
        }
    }

    /// The same for another product. What was said about the events of this one is not.
    pub(crate) fn of_product<Q: Product>(self, product: Q) -> Settings<D, Q> {
        Settings {
            credentials: self.credentials,
            clock: self.clock,
            namespace: self.namespace.of_product(product.name()),
            product,
            store: self.store,
            times: self.times,
            limits: self.limits,
            twins: self.twins,
            variants: self.variants,
            drain: self.drain,
            confirm: None,
            confirmer: None,
            kept: Watchlist::default(),
            unconfirmed: self.unconfirmed,
            on_unconfirmed: None,
            on_conflict: None,
        }
    }

    /// Whether something was said that only the events of this product understand.
    pub(crate) fn speaks_of_events(&self) -> bool {
        self.confirm.is_some() || self.on_unconfirmed.is_some() || self.on_conflict.is_some()
    }

    /// Asks `confirm`, under the limits as they are.
    pub(crate) fn set_confirm(&mut self, confirm: Arc<dyn ErasedConfirm<P>>) {
        let confirmer = Confirmer::new(Arc::clone(&confirm), &self.limits);
        self.confirmer = Some(Arc::new(confirmer));
        self.confirm = Some(confirm);
    }

    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.twins = Arc::new(Twins::new(limits.clone()));
        self.limits = limits;
        if let Some(confirm) = self.confirm.take() {
            self.set_confirm(confirm);
        }
    }

    pub(crate) fn line(&self) -> Line<D, P> {
        let times = &self.times;
        Line {
            gate: Gate {
                credentials: Arc::clone(&self.credentials),
                tolerance: times.tolerance,
                clock: Arc::clone(&self.clock),
            },
            body_limit: self.limits.body.unwrap_or(self.product.body_limit()),
            body_time: times.body,
            verifying: Verifying {
                product: self.product.clone(),
                credentials: Arc::clone(&self.credentials),
                reply_deadline: times.reply_deadline,
                meters: EventMeters::of(self.product.name()),
            },
            confirming: self.confirming(),
            claiming: self.claiming(),
            handling: Handling {
                heartbeat: Heartbeat {
                    store: self.patient_store(),
                },
                drain: self.drain.clone(),
                longest: times.detached,
            },
            settling: Settling {
                store: self.patient_store(),
                drain: self.drain.clone(),
            },
            keeping: self.keeping(),
            drain: self.drain.clone(),
        }
    }

    fn patient_store(&self) -> PatientStore<D> {
        let store = Arc::clone(&self.store);
        PatientStore::new(store, self.times.clone(), self.drain.clone())
    }

    fn classify(&self) -> Classify<P::Event> {
        let on_conflict = self.on_conflict.clone();
        Classify { on_conflict }
    }

    fn confirming(&self) -> Confirming<D, P> {
        Confirming {
            slots: self.namespace.clone(),
            twins: Arc::clone(&self.twins),
            store: self.patient_store(),
            classify: self.classify(),
            confirmer: self.confirmer.clone(),
            budget: self.times.confirm,
            otherwise: self.unconfirmed,
            on_unconfirmed: self.on_unconfirmed.clone(),
            drain: self.drain.clone(),
        }
    }

    fn claiming(&self) -> Claiming<D, P> {
        let times = &self.times;
        let retain = times.retain_outcome;
        let retain = retain.unwrap_or_else(|| self.store.retention());
        Claiming {
            slots: self.namespace.clone(),
            twins: Arc::clone(&self.twins),
            variants: Arc::clone(&self.variants),
            store: self.patient_store(),
            classify: self.classify(),
            drain: self.drain.clone(),
            variants_per_task: self.limits.events_per_task,
            variants_span: times.tolerance.saturating_mul(2),
            // Whoever says how long: a captured pair must not outlive what it brought.
            retain_final: retain.max(times.least_retention()),
            retain_progress: times.retain_progress,
            #[cfg(feature = "postgres")]
            ledger: crate::delivery::postgres::Ledger::of(&*self.store),
        }
    }

    fn keeping(&self) -> Option<Keeping<P::Event>> {
        let confirm = self.confirm.clone()?;
        (self.unconfirmed == Unconfirmed::Keep).then(|| Keeping {
            list: self.kept.clone(),
            source: Source {
                confirm,
                product: self.product.clone(),
            },
            drain: self.drain.clone(),
        })
    }
}

// Derived, it would ask the store to be `Clone`.
impl<D, P: Product> Clone for Settings<D, P> {
    fn clone(&self) -> Self {
        Self {
            credentials: Arc::clone(&self.credentials),
            clock: Arc::clone(&self.clock),
            product: self.product.clone(),
            namespace: self.namespace.clone(),
            store: Arc::clone(&self.store),
            times: self.times.clone(),
            limits: self.limits.clone(),
            twins: Arc::clone(&self.twins),
            variants: Arc::clone(&self.variants),
            drain: self.drain.clone(),
            confirm: self.confirm.clone(),
            confirmer: self.confirmer.clone(),
            kept: self.kept.clone(),
            unconfirmed: self.unconfirmed,
            on_unconfirmed: self.on_unconfirmed.clone(),
            on_conflict: self.on_conflict.clone(),
        }
    }
}
