use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

/// Ends a layer's work in order, at shutdown.
///
/// Handlers outlive their connections, so a graceful shutdown of the server is not enough: with
/// all peers gone it returns while handlers still run. [`close`](Drain::close) belongs into the
/// server's shutdown signal, [`finish`](Drain::finish) behind the end of the server.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer};
///
/// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = SunoCallbackLayer::new(SigningKey::new("key")?, MemoryStore::default());
/// let drain = layer.drain();
/// // axum::serve(listener, app).with_graceful_shutdown(async move { sigterm.await; drain.close() })
/// drain.close();
/// let drained = drain.finish(Duration::from_secs(10)).await;
/// assert_eq!(drained.aborted, 0);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(demo()).unwrap();
/// ```
#[derive(Clone)]
pub struct Drain(Arc<Shared>);

struct Shared {
    active: AtomicUsize,
    aborted: AtomicUsize,
    phase: AtomicU8,
    /// Notified when nothing is active, and when the phase changes.
    changed: Notify,
}

/// Before: everything is welcome.
const CLOSED: u8 = 1;
/// Nothing starts any more, and what runs ends now.
const ENDING: u8 = 2;

/// What a [`Drain::finish`] left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Handlers that were ended because their time was up. Their claims are released.
    pub aborted: usize,
    /// What had still not ended some seconds later: releases and commits that the store did not
    /// take. Such claims end with their lease.
    pub unsettled: usize,
}

impl Drain {
    /// How long releases and commits may take after the handlers were ended.
    const SETTLE: Duration = Duration::from_secs(5);

    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            active: AtomicUsize::new(0),
            aborted: AtomicUsize::new(0),
            phase: AtomicU8::new(0),
            changed: Notify::new(),
        }))
    }

    /// Refuses new requests with 503. What runs goes on, and who waits for it gets its answer.
    pub fn close(&self) {
        self.enter(CLOSED);
    }

    /// Closes, waits at most `patience` for everything that runs or waits, then ends the rest and
    /// releases its claims.
    ///
    /// Afterwards no handler is started any more. A second call waits for what is left.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future leaves the layer closed and ends nothing.
    pub async fn finish(&self, patience: Duration) -> Drained {
        self.close();
        let _ = timeout(patience, self.until(|| self.active() == 0)).await;
        self.enter(ENDING);
        let _ = timeout(Self::SETTLE, self.until(|| self.active() == 0)).await;
        Drained {
            aborted: self.0.aborted.load(SeqCst),
            unsettled: self.0.active.load(SeqCst),
        }
    }

    /// How many requests and detached handlers there are: reading is over and the end is not
    /// reached.
    pub fn active(&self) -> usize {
        self.0.active.load(SeqCst)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.phase.load(SeqCst) >= CLOSED
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.0.phase.load(SeqCst) >= ENDING
    }

    /// Counts somebody in whom [`Drain::finish`] waits for.
    pub(crate) fn permit(&self) -> Permit {
        self.0.active.fetch_add(1, SeqCst);
        Permit(self.clone())
    }

    /// Completes when nothing new may start.
    pub(crate) async fn closed(&self) {
        self.until(|| self.is_closed()).await;
    }

    /// Completes when what runs has to end.
    pub(crate) async fn ending(&self) {
        self.until(|| self.is_ending()).await;
    }

    pub(crate) fn count_aborted(&self) {
        self.0.aborted.fetch_add(1, SeqCst);
    }

    fn enter(&self, phase: u8) {
        self.0.phase.fetch_max(phase, SeqCst);
        self.0.changed.notify_waiters();
    }

    async fn until(&self, reached: impl Fn() -> bool) {
        loop {
            // Created before the look, so that a change between look and wait is not missed.
            let changed = self.0.changed.notified();
            if reached() {
                return;
            }
            changed.await;
        }
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("closed", &self.is_closed())
            .field("active", &self.active())
            .finish()
    }
}

/// Somebody whom [`Drain::finish`] waits for.
pub(crate) struct Permit(Drain);

impl Drop for Permit {
    fn drop(&mut self) {
        // Only a closed drain is waited for, and it was closed before anybody looked at the count.
        if self.0.0.active.fetch_sub(1, SeqCst) == 1 && self.0.is_closed() {
            self.0.0.changed.notify_waiters();
        }
    }
}
