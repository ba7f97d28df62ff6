use std::time::Duration;

use tokio::time::Instant;

use crate::timer::Backoff;

/// Longer than anything takes, and short enough that no time overflows: ten years.
pub(super) const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How a [`Reconciler`](super::Reconciler) watches.
///
/// The provider asks for 3 to 30 seconds between two questions about a voice
/// (<https://docs.kie.ai/suno-api/suno-voice-generate-callback>). How often all tasks together are
/// asked about is the client's [`rate`](super::VoiceClient::rate).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The shortest pause before a question about a task. Default 3 s.
    pub shortest: Duration,
    /// The longest pause. Default 30 s.
    pub longest: Duration,
    /// How long a task is watched. Default 1 h. Each is asked about once at least.
    pub patience: Duration,
    /// How many tasks may be watched. Default 1,000,000; each takes some 300 bytes.
    pub tasks: usize,
    /// How many polls may run at once, each with the handler that it leads to. Default 64.
    pub at_once: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            shortest: Duration::from_secs(3),
            longest: Duration::from_secs(30),
            patience: Duration::from_secs(3600),
            tasks: 1_000_000,
            at_once: 64,
        }
    }
}

impl Pace {
    /// The jitter shortens by up to a quarter, so the first pause is a third longer.
    pub(super) fn backoff(&self) -> Backoff {
        let first = self.shortest.saturating_add(self.shortest / 3).min(LONGEST);
        Backoff::new(first, self.longest.clamp(first, LONGEST))
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.patience.min(LONGEST)
    }
}
