//! An event on its way to its handler: where it came from, which slot it has, and under which lease.

mod arrival;
mod conflict;
mod lease;
mod origin;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod receipt;
mod slot;
mod subject;

pub use self::{
    conflict::Conflict,
    origin::{Trust, Via},
};

pub(crate) use self::{
    arrival::Arrival, conflict::ConflictHook, lease::Lease, origin::Origin, receipt::Receipt,
    slot::Namespace, subject::Subject,
};

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    event::{Stage, TaskId},
    metrics::EventMeters,
    product::{Event, Product},
    store::{Held, Record, SlotKey},
};

/// How an event came to the handler: which try, how far it can be trusted, under which fence, and
/// whether its claim still stands.
///
/// The layer inserts it into the extensions of the request beside the
/// [`VoiceEvent`](crate::VoiceEvent); with the `axum` feature it is an extractor. Cheap to clone.
///
/// # Which try it is
///
/// An event comes in up to four tries of the provider, and perhaps in a poll:
///
#[doc = include_str!("../../docs/diagrams/event.svg")]
///
/// # Example
///
/// ```
/// use suno_callback::{Delivery, Trust};
///
/// fn may_charge(delivery: &Delivery) -> bool {
///     delivery.trust() == Trust::Confirmed
/// }
/// # let _ = may_charge;
/// ```
#[derive(Clone)]
pub struct Delivery(Arc<Inner>);

struct Inner {
    task_id: TaskId,
    product: &'static str,
    stage: Stage,
    foreign: Option<&'static str>,
    origin: Origin,
    began: Instant,
    deadline: Instant,
    slot: SlotKey,
    held: Held,
    record: Record,
    retain: Duration,
    lease: Lease,
    is_detached: AtomicBool,
    meters: EventMeters,
    #[cfg(feature = "postgres")]
    ledger: Option<postgres::Ledger>,
}

/// A claim that the store has granted, and what will be committed under it.
pub(crate) struct Granted {
    pub(crate) slot: SlotKey,
    pub(crate) held: Held,
    pub(crate) record: Record,
    pub(crate) retain: Duration,
    pub(crate) leased_until: Instant,
    #[cfg(feature = "postgres")]
    pub(crate) ledger: Option<postgres::Ledger>,
}

impl Delivery {
    /// 1 for the first run of the handler for this event. More says that an earlier one failed, or
    /// that its process died: then its effects may exist.
    pub fn attempt(&self) -> u32 {
        self.0.held.attempt()
    }

    /// Grows with every run for the same event. A database that keeps the highest fence per task
    /// can refuse a handler that was paused while another took over.
    pub fn fence(&self) -> i64 {
        self.0.held.fence()
    }

    /// How far the event can be trusted.
    pub fn trust(&self) -> Trust {
        self.0.origin.trust
    }

    /// Whether the provider called, or we asked.
    pub fn via(&self) -> Via {
        self.0.origin.via
    }

    /// The label of the key that verified the signature.
    pub fn key_label(&self) -> Option<&str> {
        self.0.origin.key_label.as_deref()
    }

    /// When the provider signed the request, in Unix seconds.
    pub fn signed_at(&self) -> Option<u64> {
        self.0.origin.signed_at
    }

    /// The slot of the event: a key for effects that must happen once outside of any transaction.
    pub fn slot(&self) -> &SlotKey {
        &self.0.slot
    }

    /// The claim under which the handler runs. With [`Delivery::record`] it is what a
    /// [`commit`](crate::DedupStore::commit) in a transaction of the handler's own needs.
    pub fn held(&self) -> &Held {
        &self.0.held
    }

    /// Whether the claim is surely still this handler's: its lease was renewed in time, and nobody
    /// else holds the slot.
    ///
    /// `false` is no order to stop: nobody may have taken over, and a later renewal makes it `true`
    /// again. But another may be running by now, so an effect that must happen once is better left
    /// to that one. Costs a look at the clock. Says nothing once the handler has ended.
    pub fn holds_claim(&self) -> bool {
        self.0.lease.is_alive()
    }

    /// Completes when the claim is no longer surely this handler's: a renewal was told that another
    /// holds it, or the lease has run out unrenewed because the store is away or the thread was
    /// blocked. Never, where the claim is kept until the handler ends.
    ///
    /// # Cancellation safety
    ///
    /// Dropping it changes nothing, and it can be made again.
    ///
    /// # Example
    ///
    /// A handler that stops before its effect:
    ///
    /// ```
    /// use http::StatusCode;
    /// use suno_callback::{Delivery, VoiceEvent};
    /// # async fn download(_: &VoiceEvent) -> Vec<u8> { Vec::new() }
    /// # async fn publish(_: Vec<u8>) {}
    ///
    /// async fn on_voice(event: VoiceEvent, delivery: Delivery) -> StatusCode {
    ///     let sound = tokio::select! {
    ///         sound = download(&event) => sound,
    ///         () = delivery.claim_lost() => return StatusCode::SERVICE_UNAVAILABLE,
    ///     };
    ///     if !delivery.holds_claim() {
    ///         return StatusCode::SERVICE_UNAVAILABLE;
    ///     }
    ///     publish(sound).await;
    ///     StatusCode::OK
    /// }
    /// # let _ = on_voice;
    /// ```
    pub async fn claim_lost(&self) {
        self.0.lease.over().await;
    }

    pub(crate) fn new<E: Event>(arrival: Arrival<E>, claim: Granted) -> (E, Self) {
        let Arrival {
            event,
            origin,
            began,
            deadline,
            meters,
        } = arrival;
        let delivery = Inner {
            task_id: event.task_id().clone(),
            product: event.product().name(),
            stage: event.stage(),
            foreign: event.foreign(),
            origin,
            began,
            deadline,
            slot: claim.slot,
            held: claim.held,
            record: claim.record,
            retain: claim.retain,
            lease: Lease::new(claim.leased_until),
            is_detached: AtomicBool::new(false),
            meters,
            #[cfg(feature = "postgres")]
            ledger: claim.ledger,
        };
        (event, Self(Arc::new(delivery)))
    }

    /// What the log says about it.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            task_id: &self.0.task_id,
            product: self.0.product,
            stage: self.0.stage,
            foreign: self.0.foreign,
            origin: &self.0.origin,
            began: self.0.began,
            meters: &self.0.meters,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.0.deadline
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.0.lease
    }

    /// The request was answered or dropped, and its handler goes on.
    pub(crate) fn detach(&self) {
        self.0.is_detached.store(true, Relaxed);
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_detached(&self) -> bool {
        self.0.is_detached.load(Relaxed)
    }

    /// What the layer will commit when the handler has succeeded.
    pub fn record(&self) -> &Record {
        &self.0.record
    }

    /// How long the layer will ask the store to keep it.
    pub fn retain(&self) -> Duration {
        self.0.retain
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("attempt", &self.attempt())
            .field("fence", &self.fence())
            .field("trust", &self.trust())
            .field("via", &self.via())
            .field("key_label", &self.key_label())
            .finish_non_exhaustive()
    }
}
