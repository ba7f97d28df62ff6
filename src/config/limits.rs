use std::{fmt, ops::RangeInclusive};

use crate::util::debug_is_the_text;

/// How much of everything there may be in one layer, so that no sender and no outage can take all
/// of a process.
///
/// Every value is a knob with a default that an ordinary account never meets. What is above a limit
/// is refused, and the log says so: a body with 413, everything else with 503, after which the
/// provider comes again. [`check`](Self::check) says whether values go together;
/// [`SunoCallbackLayer::limits`](crate::SunoCallbackLayer::limits) does so by itself.
///
/// # What they cost
///
/// Who waits holds a request with its body. The README's table "What one process needs at most" has
/// the bytes.
///
/// # Example
///
/// ```
/// use suno_callback::Limits;
///
/// let limits = Limits { waiters: 10_000, ..Limits::default() };
/// assert!(limits.check().is_ok());
///
/// let limits = Limits { waiters_per_slot: 0, ..Limits::default() };
/// assert!(limits.check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body, in bytes, at most 64 MiB. Default `None`: what the product says, see
    /// [`body_limit`](crate::product::Product::body_limit), 16 KiB for voices. A larger body is
    /// answered with 413 and not read to its end; nothing is allocated from a length that was only
    /// declared.
    pub body: Option<usize>,
    /// How many requests may wait for the same event, and how many for the provider's word on the
    /// same task, where a [`Confirm`](crate::Confirm) is set. Default 64, at least 1. The provider
    /// repeats an event three times or so, so more are replays; the next gets 503.
    pub waiters_per_slot: usize,
    /// How many requests may wait for any event or any word. Default 4,096, at least 1; the next
    /// gets 503.
    pub waiters: usize,
    /// How many different events of one task are handed over beside its success, its failure and
    /// plain progress: each phrase, contradiction and unknown content is one. Default 16, of which a
    /// real task needs a handful; 1 to 1,024. Of what is final in itself, as a phrase that ends a
    /// validation or an end at `AnyProduct`, 16 times as many. The next gets 503 as
    /// [`TooManyVariants`](crate::Rejection::TooManyVariants): one captured header pair can make up
    /// as many as it likes.
    ///
    /// Counted in this process, until twice the tolerance has passed since the last one, for at
    /// most 65,536 tasks: above, those that were quiet for longest are forgotten first. With the
    /// default that is at most some 20 MiB, and 8 bytes more for each end that somebody made up beyond
    /// the sixteenth of its task.
    pub events_per_task: usize,
    /// How many events may be handled but not yet committed while the store is away. Default
    /// 65,536; above, and with 0, a commit that fails is given up with the answer.
    pub deferred_commits: usize,
    /// How many questions to the provider may be open, where a [`Confirm`](crate::Confirm) is set.
    /// Default 64, at least 1. Tasks that were asked about in the last minutes have a quarter of
    /// them at most; who finds none free waits for one as long as its confirmation may take.
    pub questions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: None,
            waiters_per_slot: 64,
            waiters: 4096,
            events_per_task: 16,
            deferred_commits: 65_536,
            questions: 64,
        }
    }
}

impl Limits {
    /// Checks that no limit shuts out what is genuine, or lets a sender take what it likes.
    ///
    /// # Errors
    ///
    /// [`InvalidLimits`] with the limit, its value, and what to give it.
    pub fn check(&self) -> Result<(), InvalidLimits> {
        let bounds = [
            ("body", self.body.unwrap_or(1), 1..=64 << 20),
            ("waiters_per_slot", self.waiters_per_slot, 1..=usize::MAX),
            ("waiters", self.waiters, 1..=usize::MAX),
            ("events_per_task", self.events_per_task, 1..=1024),
            ("questions", self.questions, 1..=usize::MAX),
        ];
        let outside = bounds.into_iter().find(|it| !it.2.contains(&it.1));
        match outside {
            Some((name, value, bounds)) => Err(InvalidLimits {
                name,
                value,
                bounds,
            }),
            None => Ok(()),
        }
    }
}

/// A limit of [`Limits`] under which genuine events would be refused, or none would be bounded.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidLimits {
    name: &'static str,
    value: usize,
    bounds: RangeInclusive<usize>,
}

impl fmt::Display for InvalidLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = (self.name, self.value);
        let (least, most) = (self.bounds.start(), self.bounds.end());
        match value < *least {
            true => write!(
                f,
                "{name} is {value}: give it at least {least}, or every event that needs one is refused"
            ),
            false => write!(
                f,
                "{name} is {value}: give it at most {most}, or one sender may take as much memory as it likes"
            ),
        }
    }
}

debug_is_the_text!(InvalidLimits);

impl std::error::Error for InvalidLimits {}
