use std::{fmt, time::Duration};

use crate::store::MAX_LEASE;

/// How long everything may take. Every value is a knob with a default that fits the provider,
/// which waits 15 seconds for an answer.
///
/// [`Times::check`] refuses combinations under which a retry that is already waiting could not
/// outlive a crashed holder:
///
/// ```text
/// lease + poll + store_operation + 3 s for the handler + store_operation < reply_deadline
/// ```
///
/// A retry that has to ask a [`Confirm`](crate::Confirm) first does so while the holder's lease
/// runs out, so the longer of `lease` and `confirm` counts.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use suno_callback::Times;
///
/// let times = Times { tolerance: Duration::from_secs(120), ..Times::default() };
/// assert!(times.check().is_ok());
///
/// let times = Times { lease: Duration::from_secs(12), ..Times::default() };
/// assert!(times.check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// From the head to the answer. Default 13 s: the provider's 15 s less two for the network. At
    /// most a year.
    pub reply_deadline: Duration,
    /// From the head to the end of the body. Default 3 s.
    pub body: Duration,
    /// How long a claim lasts unrenewed. Default 5 s, at most 60 s.
    pub lease: Duration,
    /// How often a claim is renewed while its handler runs. Default 1.5 s.
    pub heartbeat: Duration,
    /// One try of one store operation. Default 1 s.
    pub store_operation: Duration,
    /// All three tries of one store operation. Default 4 s, at most a year.
    pub store_budget: Duration,
    /// The longest pause between two looks at a claim that another process holds; the first is a
    /// fifth of it. Default 500 ms.
    pub poll: Duration,
    /// How old, and how far in the future, a signature may be. In whole seconds; default 300 s.
    /// The provider names no window; this one is ours.
    pub tolerance: Duration,
    /// How long a handler may go on after its request was answered or dropped. Default 10 min, at
    /// most a year. A commit that failed is retried for as long.
    pub detached: Duration,
    /// How long a success or a failure is remembered. Default: what the store says
    /// ([`DedupStore::retention`](crate::DedupStore::retention)).
    pub retain_outcome: Option<Duration>,
    /// How long everything else is remembered: progress, phrases, inconsistent events. Default
    /// 15 min.
    pub retain_progress: Duration,
    /// For asking the provider what is true, where a [`Confirm`](crate::Confirm) is set. Default
    /// 4 s; one that is longer than the lease counts in the lease's place in the rule above.
    pub confirm: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            reply_deadline: Duration::from_secs(13),
            body: Duration::from_secs(3),
            lease: Duration::from_secs(5),
            heartbeat: Duration::from_millis(1500),
            store_operation: Duration::from_secs(1),
            store_budget: Duration::from_secs(4),
            poll: Duration::from_millis(500),
            tolerance: Duration::from_secs(300),
            detached: Duration::from_secs(600),
            retain_outcome: None,
            retain_progress: Duration::from_secs(15 * 60),
            confirm: Duration::from_secs(4),
        }
    }
}

impl Times {
    /// What the rule leaves for a handler that takes over from a crashed one.
    const TAKEOVER: Duration = Duration::from_secs(3);

    /// Checks that these times go together.
    ///
    /// # Errors
    ///
    /// [`InvalidTimes`] with the rule that is broken.
    pub fn check(&self) -> Result<(), InvalidTimes> {
        match self.rules().iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(InvalidTimes(rule)),
            None => Ok(()),
        }
    }

    fn rules(&self) -> [(bool, &'static str); 9] {
        let replay = self.tolerance.saturating_mul(2);
        [
            (
                !self.has_zero(),
                "no time may be zero, except the tolerance",
            ),
            (
                self.waits().iter().all(|wait| *wait <= YEAR),
                "no wait may be longer than a year",
            ),
            (
                self.takeover() < self.reply_deadline,
                "lease (or confirm, if longer) + poll + store_operation + 3 s + store_operation \
                 must be below reply_deadline",
            ),
            (
                self.body < self.reply_deadline,
                "body must be below reply_deadline",
            ),
            (self.lease <= MAX_LEASE, "lease must be at most 60 s"),
            (
                sum(&[self.heartbeat, self.store_operation]) < self.lease,
                "heartbeat + store_operation must be below lease",
            ),
            (
                self.store_operation <= self.store_budget,
                "store_operation must be at most store_budget",
            ),
            (
                self.retain_progress >= replay,
                "retain_progress must be at least twice the tolerance",
            ),
            (
                self.retain_outcome
                    .is_none_or(|retain| retain >= replay.saturating_add(HOUR)),
                "retain_outcome must be at least twice the tolerance and one hour",
            ),
        ]
    }

    /// How long a retry needs to take over from a holder that crashed when it came.
    fn takeover(&self) -> Duration {
        let [claim, commit] = [self.store_operation; 2];
        let lease = self.lease.max(self.confirm);
        sum(&[lease, self.poll, claim, Self::TAKEOVER, commit])
    }

    fn has_zero(&self) -> bool {
        self.retain_progress.is_zero() || self.waits().iter().any(Duration::is_zero)
    }

    /// What is added to the time now.
    fn waits(&self) -> [Duration; 9] {
        [
            self.reply_deadline,
            self.body,
            self.lease,
            self.heartbeat,
            self.store_operation,
            self.store_budget,
            self.poll,
            self.detached,
            self.confirm,
        ]
    }
}

const HOUR: Duration = Duration::from_secs(3600);
/// Far from where the clock's arithmetic ends.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn sum(times: &[Duration]) -> Duration {
    times
        .iter()
        .fold(Duration::ZERO, |all, time| all.saturating_add(*time))
}

/// A combination of [`Times`] that would lose events, with the rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTimes(&'static str);

impl fmt::Display for InvalidTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidTimes {}

/// How much of everything there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body, in bytes. Default 16 KiB; a real callback has 200 to 500 bytes.
    pub body: usize,
    /// How many requests may wait for the same event, and how many for the provider's word on the
    /// same task, where a [`Confirm`](crate::Confirm) is set. Default 64.
    pub waiters_per_slot: usize,
    /// How many requests may wait for any event or any word. Default 4,096.
    pub waiters: usize,
    /// How many different events of one task are handed over beside its success and its failure:
    /// each progress status, phrase and contradiction is one. Default 16, of which a real task needs
    /// a handful. Counted in this process, until twice the tolerance has passed since the last one.
    pub variants: usize,
    /// How many events may be handled but not yet committed while the store is away. Default
    /// 65,536.
    pub deferred_commits: usize,
    /// How many questions to the provider may be open, where a [`Confirm`](crate::Confirm) is set.
    /// Default 64.
    pub questions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 16 * 1024,
            waiters_per_slot: 64,
            waiters: 4096,
            variants: 16,
            deferred_commits: 65_536,
            questions: 64,
        }
    }
}
