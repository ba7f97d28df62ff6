use std::{fmt, time::Duration};

use tokio::time::Instant;

use crate::util::{debug_is_the_text, timer::Backoff};

/// How tasks are asked about again and again.
///
/// The provider asks for 3 to 30 seconds between two questions about a voice
/// (<https://docs.kie.ai/suno-api/suno-voice-generate-callback>). How often all tasks together are
/// asked about is for the [`Confirm`](crate::Confirm) to say; a `SunoClient` has a rate.
///
/// # Whose turn it is
///
/// Where more tasks are due than the rate allows, every second turn goes to the newest of those that
/// were never asked about, and every other to the one that has been due for the longest. So a task
/// that is new on the list has its first question within two turns for each task that is newer
/// still, however many wait before it; and none waits for more than two turns for each task that was
/// due earlier. At 5 questions a second an hour has 18,000 of them: a list of more tasks than that
/// cannot ask about each within its patience, and those that had no turn end as
/// [`Unsettled::NotAsked`](super::Unsettled::NotAsked). A higher rate helps, and so does
/// [`watch_all`](super::Watchlist::watch_all) with fewer at once.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use suno_callback::reconcile::Pace;
///
/// let pace = Pace { patience: Duration::from_secs(600), ..Pace::default() };
/// assert!(pace.check().is_ok());
///
/// let pace = Pace { shortest: Duration::ZERO, ..Pace::default() };
/// assert!(pace.check().unwrap_err().to_string().starts_with("shortest"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The shortest pause before a question about a task. Default 3 s, at least 1 ms.
    pub shortest: Duration,
    /// The longest pause, if there is a turn by then. Default 30 s, at least `shortest`.
    pub longest: Duration,
    /// How long a task is watched; the last question comes at the end. A watch without a turn by
    /// then ends at the latest `longest` afterwards. Default 1 h, at least `shortest`, at most a
    /// year.
    pub patience: Duration,
    /// How many tasks may be on the list. Default 100,000, at most 10,000,000; each takes some 600
    /// bytes, and some 800 where a layer keeps it.
    pub tasks: usize,
    /// How many questions may be open at once. The handlers that they lead to do not count.
    /// Default 64, at most 65,536.
    pub at_once: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            shortest: Duration::from_secs(3),
            longest: Duration::from_secs(30),
            patience: Duration::from_secs(3600),
            tasks: 100_000,
            at_once: 64,
        }
    }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const MOST_TASKS: usize = 10_000_000;
const MOST_AT_ONCE: usize = 65_536;

impl Pace {
    /// Checks that this pace can keep what it promises.
    ///
    /// # Errors
    ///
    /// [`InvalidPace`] with the rule that is broken.
    pub fn check(&self) -> Result<(), InvalidPace> {
        match self.rules().iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(InvalidPace(rule)),
            None => Ok(()),
        }
    }

    fn rules(&self) -> [(bool, &'static str); 6] {
        [
            (
                self.shortest >= Duration::from_millis(1),
                "shortest must be at least 1 ms; the provider asks for 3 s",
            ),
            (
                self.longest >= self.shortest,
                "longest must be at least shortest",
            ),
            (
                self.patience >= self.shortest,
                "patience must be at least shortest, or a watch ends before its first question",
            ),
            (
                self.longest <= YEAR && self.patience <= YEAR,
                "longest and patience must be at most a year",
            ),
            (
                (1..=MOST_TASKS).contains(&self.tasks),
                "tasks must be between 1 and 10,000,000",
            ),
            (
                (1..=MOST_AT_ONCE).contains(&self.at_once),
                "at_once must be between 1 and 65,536",
            ),
        ]
    }

    /// The jitter shortens by up to a quarter, so the first pause is a third longer.
    pub(super) fn pauses(&self) -> Pauses {
        let first = self.shortest.saturating_add(self.shortest / 3);
        Pauses(Backoff::new(first, self.longest))
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }
}

/// The pauses before the questions about one task.
pub(super) struct Pauses(Backoff);

impl Pauses {
    pub(super) fn next(&mut self, pace: &Pace) -> Duration {
        self.0.pause().max(pace.shortest)
    }
}

/// A [`Pace`] that would break a promise, with the rule that it breaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InvalidPace(&'static str);

impl fmt::Display for InvalidPace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

debug_is_the_text!(InvalidPace);

impl std::error::Error for InvalidPace {}

#[cfg(test)]
mod tests {
    use super::*;

    const NANO: Duration = Duration::from_nanos(1);
    const MILLI: Duration = Duration::from_millis(1);

    type Change = fn(&mut Pace);

    fn refusal(change: Change) -> Option<String> {
        let mut pace = Pace::default();
        change(&mut pace);
        pace.check().err().map(|error| error.to_string())
    }

    #[test]
    fn each_field_is_accepted_at_its_ends_and_refused_beyond_them_with_its_name() {
        let cases: [(&str, Change, Change); 9] = [
            (
                "shortest",
                |it| it.shortest = MILLI,
                |it| it.shortest = MILLI - NANO,
            ),
            (
                "shortest",
                |it| it.shortest = it.longest,
                |it| it.shortest = it.longest + NANO,
            ),
            (
                "longest",
                |it| it.longest = it.shortest,
                |it| it.longest = Duration::ZERO,
            ),
            (
                "longest",
                |it| it.longest = YEAR,
                |it| it.longest = Duration::MAX,
            ),
            (
                "patience",
                |it| it.patience = it.shortest,
                |it| it.patience = it.shortest - NANO,
            ),
            (
                "patience",
                |it| it.patience = YEAR,
                |it| it.patience = Duration::MAX,
            ),
            ("tasks", |it| it.tasks = 1, |it| it.tasks = 0),
            (
                "tasks",
                |it| it.tasks = MOST_TASKS,
                |it| it.tasks = usize::MAX,
            ),
            (
                "at_once",
                |it| it.at_once = MOST_AT_ONCE,
                |it| it.at_once = 0,
            ),
        ];
        for (field, good, bad) in cases {
            assert_eq!(refusal(good), None, "{field}");
            let text = refusal(bad).unwrap();
            assert!(text.contains(field) && text.contains("must be"), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_accepted_pause_lies_between_shortest_and_longest() {
        for (shortest, longest) in [
            (MILLI, MILLI),
            (MILLI, YEAR),
            (YEAR, YEAR),
            (Duration::from_secs(3), Duration::from_secs(3)),
            (Duration::from_secs(3), Duration::from_secs(30)),
        ] {
            let patience = YEAR;
            let pace = Pace {
                shortest,
                longest,
                patience,
                ..Pace::default()
            };
            pace.check().unwrap();
            let mut pauses = pace.pauses();
            for _ in 0..100 {
                let pause = pauses.next(&pace);
                assert!((shortest..=longest).contains(&pause), "{pause:?}");
            }
            assert!(pace.deadline() > Instant::now());
        }
    }
}
