use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    delivery::lease::Lease,
    delivery::receipt::Receipt,
    delivery::{Origin, Trust, Via},
    event::{Meaning, VoiceEvent},
    store::{Held, Record, SlotKey},
};

/// A genuine event on its way, shared by everybody who has to do with it.
pub(crate) struct Arrival {
    sent: VoiceEvent,
    truth: OnceLock<VoiceEvent>,
    origin: Origin,
    grant: OnceLock<Grant>,
    is_detached: AtomicBool,
    pub(crate) began: Instant,
    pub(crate) deadline: Instant,
}

/// The claim on an event's slot, and what will be committed under it.
pub(crate) struct Grant {
    pub(crate) slot: SlotKey,
    pub(crate) held: Held,
    pub(crate) record: Record,
    pub(crate) retain: Duration,
    pub(crate) lease: Lease,
    #[cfg(feature = "postgres")]
    pub(crate) ledger: Option<super::postgres::Ledger>,
}

impl Arrival {
    pub(crate) fn new(
        event: VoiceEvent,
        origin: Origin,
        began: Instant,
        deadline: Instant,
    ) -> Self {
        Self {
            sent: event,
            truth: OnceLock::new(),
            origin,
            grant: OnceLock::new(),
            is_detached: AtomicBool::new(false),
            began,
            deadline,
        }
    }

    /// What is handed over: what the provider confirmed, or else what arrived.
    pub(crate) fn event(&self) -> &VoiceEvent {
        self.truth.get().unwrap_or(&self.sent)
    }

    /// Replaces what arrived by what the provider says.
    pub(crate) fn confirm(&self, truth: VoiceEvent) {
        let _ = self.truth.set(truth); // the question is asked once
    }

    /// The claim is held: from now on the handling of the event must not be dropped.
    pub(crate) fn grant(&self, grant: Grant) {
        let _ = self.grant.set(grant); // there is one claim
    }

    pub(crate) fn is_granted(&self) -> bool {
        self.grant.get().is_some()
    }

    /// The claim; a constant one for an event without.
    pub(crate) fn granted(&self) -> &Grant {
        static NONE: Grant = Grant {
            slot: SlotKey::ZERO,
            held: Held::NONE,
            record: Record::EMPTY,
            retain: Duration::ZERO,
            lease: Lease::none(),
            #[cfg(feature = "postgres")]
            ledger: None,
        };
        self.grant.get().unwrap_or(&NONE)
    }

    /// The request was answered or dropped, and its handler goes on.
    pub(crate) fn detach(&self) {
        self.is_detached.store(true, Relaxed);
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_detached(&self) -> bool {
        self.is_detached.load(Relaxed)
    }

    pub(crate) fn trust(&self) -> Trust {
        match self.truth.get() {
            Some(_) => Trust::Confirmed,
            None => self.origin.trust,
        }
    }

    pub(crate) fn via(&self) -> Via {
        self.origin.via
    }

    pub(crate) fn key_label(&self) -> Option<&str> {
        self.origin.key_label.as_deref()
    }

    pub(crate) fn signed_at(&self) -> Option<u64> {
        self.origin.signed_at
    }

    pub(crate) fn is_success(&self) -> bool {
        self.event().meaning() == Meaning::Ready
    }

    pub(crate) fn memory(&self) -> Receipt {
        Receipt::of(self.event(), self.signed_at(), self.trust())
    }
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival")
            .field("event", self.event())
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
