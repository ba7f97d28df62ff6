//! An event on its way to its handler: where it came from, which slot it has, and under which lease.

pub(crate) mod arrival;
mod conflict;
pub(crate) mod lease;
mod origin;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod receipt;
pub(crate) mod slot;

pub use self::{
    conflict::Conflict,
    origin::{Trust, Via},
};

pub(crate) use self::{conflict::ConflictHook, origin::Origin};

use std::{fmt, sync::Arc, time::Duration};

use self::arrival::Arrival;
use crate::store::{Held, Record, SlotKey};

/// How an event came to the handler: which try, how far it can be trusted, under which fence, and
/// whether its claim still stands.
///
/// The layer inserts it into the extensions of the request beside the
/// [`VoiceEvent`](crate::VoiceEvent); with the `axum` feature it is an extractor. Cheap to clone.
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
pub struct Delivery(pub(crate) Arc<Arrival>);

impl Delivery {
    /// 1 for the first run of the handler for this event. More says that an earlier one failed, or
    /// that its process died: then its effects may exist.
    pub fn attempt(&self) -> u32 {
        self.0.granted().held.attempt()
    }

    /// Grows with every run for the same event. A database that keeps the highest fence per task
    /// can refuse a handler that was paused while another took over.
    pub fn fence(&self) -> i64 {
        self.0.granted().held.fence()
    }

    /// How far the event can be trusted.
    pub fn trust(&self) -> Trust {
        self.0.trust()
    }

    /// Whether the provider called, or we asked.
    pub fn via(&self) -> Via {
        self.0.via()
    }

    /// The label of the key that verified the signature.
    pub fn key_label(&self) -> Option<&str> {
        self.0.key_label()
    }

    /// When the provider signed the request, in Unix seconds.
    pub fn signed_at(&self) -> Option<u64> {
        self.0.signed_at()
    }

    /// The slot of the event: a key for effects that must happen once outside of any transaction.
    pub fn slot(&self) -> &SlotKey {
        &self.0.granted().slot
    }

    /// The claim under which the handler runs. With [`Delivery::record`] it is what a
    /// [`commit`](crate::DedupStore::commit) in a transaction of the handler's own needs.
    pub fn held(&self) -> &Held {
        &self.0.granted().held
    }

    /// Whether the claim is surely still this handler's: its lease was renewed in time, and nobody
    /// else holds the slot.
    ///
    /// `false` is no order to stop: nobody may have taken over, and a later renewal makes it `true`
    /// again. But another may be running by now, so an effect that must happen once is better left
    /// to that one. Costs a look at the clock. Says nothing once the handler has ended.
    pub fn holds_claim(&self) -> bool {
        self.0.is_leased()
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
        self.0.lease_over().await;
    }

    /// What the layer will commit when the handler has succeeded.
    pub fn record(&self) -> &Record {
        &self.0.granted().record
    }

    /// How long the layer will ask the store to keep it.
    pub fn retain(&self) -> Duration {
        self.0.granted().retain
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
