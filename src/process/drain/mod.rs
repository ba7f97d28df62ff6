mod serve;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::util::sync::{
    Notify,
    atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst},
};

/// Ends a layer's work in order, at shutdown.
///
/// A graceful shutdown of the server alone is wrong twice. Handlers outlive their connections: with
/// all peers gone it returns while handlers still run. And it waits for every peer: one that has
/// sent half a head, and no more, holds it for ever, and nothing that comes behind it is reached.
/// [`serve`](Drain::serve) knows both, and puts one bound on everything from the signal on.
///
/// # Example
///
/// ```no_run
/// use axum::{Router, routing::post};
/// use suno_callback::{Drain, MemoryStore, SigningKey, SunoCallbackLayer, VoiceEvent};
/// use tokio::signal::unix::{SignalKind, signal};
///
/// # async fn on_voice(_: VoiceEvent) {}
/// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = SunoCallbackLayer::new(SigningKey::new("the key of the account")?, MemoryStore::default());
/// let drain = layer.drain();
/// let app = Router::new().route("/callbacks/suno/voice", post(on_voice).layer(layer));
///
/// let mut sigterm = signal(SignalKind::terminate())?; // from here on it does not kill
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// let server = axum::serve(listener, app).with_graceful_shutdown(drain.closed());
/// let drained = drain.serve(server, sigterm.recv(), Drain::BOUND).await?;
/// eprintln!("{} aborted, {} unsettled", drained.aborted, drained.unsettled);
/// # Ok(())
/// # }
/// ```
///
/// Several layers of one application share a drain: [`SunoCallbackLayer::with_drain`].
///
/// What blocks a thread cannot be aborted, and a Tokio runtime that is dropped waits for it. Where
/// a handler does such a thing, end the process with [`std::process::exit`] behind `serve`.
///
/// [`SunoCallbackLayer::with_drain`]: crate::SunoCallbackLayer::with_drain
#[derive(Clone)]
pub struct Drain(Arc<Shared>);

struct Shared {
    active: AtomicUsize,
    aborted: AtomicUsize,
    given_up: AtomicUsize,
    phase: AtomicU8,
    /// Notified when nothing is active, and when the phase changes.
    changed: Notify,
}

/// Nothing new is let in. Before it, the phase is 0.
const CLOSED: u8 = 1;
/// Nothing starts any more, and what runs ends now.
const ENDING: u8 = 2;

/// What a drain left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Handlers that were ended because their time was up. Their claims are released.
    pub aborted: usize,
    /// What had not ended when all time was up: releases and commits that the store was still asked
    /// for, and handlers that block a thread; and commits that the store refused to the last. Such
    /// claims end with their lease, and another try runs their handler again.
    pub unsettled: usize,
}

impl Drain {
    /// A good bound for [`serve`](Self::serve): 25 s, because most orchestrators kill 30 s after
    /// the signal.
    pub const BOUND: Duration = Duration::from_secs(25);

    /// How long releases and commits may take after the handlers were ended.
    const SETTLE: Duration = Duration::from_secs(5);

    /// What they have of a bound that is too short for them: a store has to be asked.
    const LEAST_SETTLE: Duration = Duration::from_millis(500);

    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            active: AtomicUsize::new(0),
            aborted: AtomicUsize::new(0),
            given_up: AtomicUsize::new(0),
            phase: AtomicU8::new(0),
            changed: Notify::new(),
        }))
    }

    /// Refuses new requests with 503. What runs goes on, and who waits for it gets its answer.
    pub fn close(&self) {
        self.enter(CLOSED);
    }

    /// Completes when the drain is closed: for axum's `with_graceful_shutdown`, or an accept loop.
    ///
    /// # Cancellation safety
    ///
    /// It may be dropped and asked for again.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let drain = self.clone();
        async move { drain.until(|| drain.is_closed()).await }
    }

    /// Closes, waits at most `patience` for everything that runs or waits, then ends the rest and
    /// releases its claims, which takes at most 5 s more.
    ///
    /// For a server that has ended already, or is none of [`serve`](Self::serve)'s business:
    /// nothing that may wait for a peer belongs before it. Afterwards no handler is started any
    /// more. A second call waits for what is left.
    ///
    /// # Cancellation safety
    ///
    /// Dropped while it is patient, it leaves the layer closed and ends nothing.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let layer = SunoCallbackLayer::new(SigningKey::new("the key of the account")?, MemoryStore::default());
    /// let drained = layer.drain().finish(Duration::from_secs(10)).await;
    /// assert_eq!(drained.aborted, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn finish(&self, patience: Duration) -> Drained {
        self.close();
        let _ = timeout(patience, self.idle()).await;
        self.abort(Self::SETTLE).await
    }

    /// Closes, ends what runs without waiting for it, and gives releases and last commits `settle`:
    /// for a second signal.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future changes nothing: what runs has been told to end when it is first polled.
    pub async fn abort(&self, settle: Duration) -> Drained {
        self.enter(ENDING);
        let _ = timeout(settle, self.idle()).await;
        Drained {
            aborted: self.0.aborted.load(SeqCst),
            unsettled: self.active() + self.0.given_up.load(SeqCst),
        }
    }

    /// Whether new requests are refused: a readiness probe says so.
    pub fn is_closed(&self) -> bool {
        self.0.phase.load(SeqCst) >= CLOSED
    }

    /// How many requests and detached handlers there are: reading is over and the end is not
    /// reached.
    pub fn active(&self) -> usize {
        self.0.active.load(SeqCst)
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.0.phase.load(SeqCst) >= ENDING
    }

    /// Counts somebody in whom a drain waits for.
    pub(crate) fn count_in(&self) {
        self.0.active.fetch_add(1, SeqCst);
    }

    /// For each that was counted in.
    pub(crate) fn count_out(&self) {
        // Only a closed drain is waited for, and it was closed before anybody looked at the count.
        if self.0.active.fetch_sub(1, SeqCst) == 1 && self.is_closed() {
            self.0.changed.notify_waiters();
        }
    }

    /// What counts out somebody who was counted in.
    pub(crate) fn permit(&self) -> Permit {
        Permit(self.clone())
    }

    /// Completes when what runs has to end.
    pub(crate) async fn ending(&self) {
        self.until(|| self.is_ending()).await;
    }

    pub(crate) fn count_aborted(&self) {
        self.0.aborted.fetch_add(1, SeqCst);
    }

    /// A handled event that could not be recorded before the end.
    pub(crate) fn count_given_up(&self) {
        self.0.given_up.fetch_add(1, SeqCst);
    }

    async fn idle(&self) {
        self.until(|| self.active() == 0).await;
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

/// Somebody whom a drain waits for.
pub(crate) struct Permit(Drain);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.count_out();
    }
}
