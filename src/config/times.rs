use std::{fmt, time::Duration};

use crate::{
    store::MAX_LEASE,
    util::{debug_is_the_text, timer::Backoff},
};

/// How long everything may take. Every value is a knob with a default that fits the provider,
/// which waits 15 seconds for an answer.
///
/// [`Times::check`] refuses combinations that would break a promise, above all those under which a
/// retry that is already waiting could not outlive a crashed holder:
///
/// ```text
/// lease + poll + store_operation + 3 s for the handler + store_operation < reply_deadline
/// ```
///
/// A retry that has to ask a [`Confirm`](crate::Confirm) first does so while the holder's lease
/// runs out, so the longer of `lease` and `confirm` counts.
///
/// # While the store is away
///
/// Before the handler runs, an operation of the store is tried again, with growing pauses up to
/// `poll`, for as long as the deadline leaves the handler its 3 seconds and one commit:
/// `reply_deadline - 3 s - store_operation`, by default 9 seconds after the head.
///
/// While the handler runs and until its commit is in, the lease is renewed. What fails is repeated
/// within 150 milliseconds (a 32nd of the lease, where that is less); what hangs has all of its time,
/// and then another is started beside it each quarter of `store_operation`. So it goes for as long as
/// the lease lives and a third longer, and with growing pauses afterwards: until the handler has
/// ended, then at most for `detached`. Who waits for the event at another process lets a store that
/// comes back hear from the holder first. So an outage runs no event twice that is shorter than
///
/// ```text
/// lease - store_operation, by default 4 s, and
/// lease - heartbeat - store_operation / 4, by default 4.05 s
/// ```
///
/// The second is what is left of a lease, and the holder's pause: it counts where another process gets
/// its first request for that event just as the store comes back.
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
    /// How often a claim is renewed while its handler runs. Twice this and `store_operation` fit
    /// into the lease, so that one renewal that hangs costs no claim. Default 700 ms: with a quarter
    /// of `store_operation` less than `store_operation`, so that `lease - store_operation` is what an
    /// outage may take.
    pub heartbeat: Duration,
    /// One try of one store operation. Default 1 s.
    pub store_operation: Duration,
    /// The longest pause between two looks at a claim that another process holds, or at a store
    /// that is away; the first is a fifth of it. Default 500 ms.
    pub poll: Duration,
    /// How old, and how far in the future, a signature may be. In whole seconds; default 300 s.
    /// The provider names no window; this one is ours.
    pub tolerance: Duration,
    /// How long a handler may go on after its request was answered or dropped; one whose request
    /// is still awaited is never cut. Default 10 min, at most a year. A commit that failed is
    /// retried for as long.
    pub detached: Duration,
    /// How long a success or a failure is remembered. Default: what the store says
    /// ([`DedupStore::retention`](crate::DedupStore::retention)), raised to twice the tolerance and
    /// one hour where that is less.
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
            heartbeat: Duration::from_millis(700),
            store_operation: Duration::from_secs(1),
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
    /// [`InvalidTimes`] with the rule that is broken, the values that break it, and what to change.
    pub fn check(&self) -> Result<(), InvalidTimes> {
        self.check_each()?;
        self.check_deadline()?;
        self.check_lease()?;
        self.check_memory()
    }

    /// Each by itself: what the timers can count.
    fn check_each(&self) -> Result<(), InvalidTimes> {
        for (name, wait) in self.waits() {
            ensure(wait >= SHORTEST, || {
                format!("{name} is {wait:?}: give it at least {SHORTEST:?}")
            })?;
            ensure(wait <= YEAR, || {
                format!("{name} is {wait:?}: give it at most a year")
            })?;
        }
        Ok(())
    }

    /// What has to happen before the answer.
    fn check_deadline(&self) -> Result<(), InvalidTimes> {
        let Self {
            reply_deadline,
            body,
            lease,
            poll,
            store_operation,
            confirm,
            ..
        } = self;
        ensure(body < reply_deadline, || {
            format!("body ({body:?}) must be below reply_deadline ({reply_deadline:?}): shorten it")
        })?;
        let (name, wait) = match lease < confirm {
            true => ("confirm", confirm),
            false => ("lease", lease),
        };
        let takeover = self.takeover();
        ensure(takeover < *reply_deadline, || {
            format!(
                "{name} ({wait:?}) + poll ({poll:?}) + store_operation ({store_operation:?}) + 3s for \
                 the handler + store_operation ({store_operation:?}) is {takeover:?} and must be below \
                 reply_deadline ({reply_deadline:?}): shorten {name}, poll or store_operation"
            )
        })
    }

    fn check_lease(&self) -> Result<(), InvalidTimes> {
        let Self {
            lease,
            heartbeat,
            store_operation,
            ..
        } = self;
        ensure(*lease <= MAX_LEASE, || {
            format!("lease is {lease:?}: give it at most {MAX_LEASE:?}")
        })?;
        let beat = heartbeat.saturating_add(*store_operation);
        ensure(beat.saturating_mul(2) <= *lease, || {
            format!(
                "heartbeat ({heartbeat:?}) + store_operation ({store_operation:?}) must fit twice \
                 into lease ({lease:?}), or one renewal that fails loses the claim: shorten them \
                 together to {:?}, or give lease {:?}",
                *lease / 2,
                beat.saturating_mul(2),
            )
        })
    }

    /// What is remembered outlives every header pair that could bring it again.
    fn check_memory(&self) -> Result<(), InvalidTimes> {
        let Self {
            tolerance,
            retain_progress,
            retain_outcome,
            ..
        } = self;
        let replay = tolerance.saturating_mul(2);
        ensure(
            *retain_progress >= replay && !retain_progress.is_zero(),
            || {
                format!(
                    "retain_progress ({retain_progress:?}) must be at least twice the tolerance \
                 ({tolerance:?}): give it {:?}",
                    replay.max(SHORTEST),
                )
            },
        )?;
        let least = self.least_retention();
        ensure(retain_outcome.is_none_or(|retain| retain >= least), || {
            format!(
                "retain_outcome ({:?}) must be at least twice the tolerance ({tolerance:?}) and one \
                 hour: give it {least:?}, or None for what the store says",
                retain_outcome.unwrap_or_default(),
            )
        })
    }

    /// How long a retry needs to take over from a holder that crashed when it came.
    fn takeover(&self) -> Duration {
        let [claim, commit] = [self.store_operation; 2];
        let lease = self.lease.max(self.confirm);
        [lease, self.poll, claim, Self::TAKEOVER, commit]
            .iter()
            .fold(Duration::ZERO, |all, time| all.saturating_add(*time))
    }

    /// What the deadline must leave when the claim is granted: the handler's share and the commit.
    pub(crate) fn share(&self) -> Duration {
        Self::TAKEOVER + self.store_operation
    }

    /// The longest pause before the holder of a lease asks a store again that did not answer.
    pub(crate) fn quick(&self) -> Duration {
        Duration::from_millis(150).min(self.lease / 32)
    }

    /// How long after one that hangs the holder starts another beside it: four at a time.
    pub(crate) fn spacing(&self) -> Duration {
        self.quick().max(self.store_operation / 4)
    }

    /// For how long the holder of a lease that has ended goes on as if it lived.
    pub(crate) fn haste(&self) -> Duration {
        self.heartbeat.max(self.lease / 3)
    }

    /// The pauses of whoever waits for the store, or for another process. The first are short, because
    /// most handlers are done and most hitches over within one; the fourth is as long as they get.
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(self.poll / 5, self.poll)
    }

    /// How long an outcome is remembered at least, whoever says how long.
    pub(crate) fn least_retention(&self) -> Duration {
        self.tolerance.saturating_mul(2).saturating_add(HOUR)
    }

    /// What is added to the time now.
    fn waits(&self) -> [(&'static str, Duration); 8] {
        [
            ("reply_deadline", self.reply_deadline),
            ("body", self.body),
            ("lease", self.lease),
            ("heartbeat", self.heartbeat),
            ("store_operation", self.store_operation),
            ("poll", self.poll),
            ("detached", self.detached),
            ("confirm", self.confirm),
        ]
    }
}

/// What a timer of the runtime can tell from nothing.
const SHORTEST: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Far from where the clock's arithmetic ends.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn ensure(holds: bool, rule: impl FnOnce() -> String) -> Result<(), InvalidTimes> {
    match holds {
        true => Ok(()),
        false => Err(InvalidTimes(rule())),
    }
}

/// A combination of [`Times`] that would lose events or run them twice: the rule that it breaks,
/// and what to change.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidTimes(String);

impl fmt::Display for InvalidTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

debug_is_the_text!(InvalidTimes);

impl std::error::Error for InvalidTimes {}
