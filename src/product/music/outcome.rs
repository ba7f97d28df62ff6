use std::fmt;

use super::Track;
use crate::product::TaskFailure;

/// What an event of music means, decided from code, stage and tracks together.
///
/// | outcome | how often a task | what a handler does |
/// |---|---|---|
/// | [`Complete`](Self::Complete) | once; nothing else of the task is handed over after it | stores the tracks |
/// | [`First`](Self::First), [`Text`](Self::Text) | once each, or never, in any order | shows what is there, and waits |
/// | [`Failed`](Self::Failed) | once; a `Complete` may still come after it | tells the user |
/// | [`Pending`](Self::Pending) | only of records | nothing |
/// | [`Inconsistent`](Self::Inconsistent), [`Unknown`](Self::Unknown) | once a content | asks the provider |
///
/// The list may grow: a match needs a `_`, and what falls there is best treated as `Pending`.
///
/// # Example
///
/// ```
/// use suno_callback::product::{MusicEvent, MusicOutcome};
///
/// fn act_on(event: &MusicEvent) -> String {
///     match event.outcome() {
///         MusicOutcome::Complete(tracks) => format!("store {} tracks", tracks.len()),
///         MusicOutcome::Failed(failure) => format!("tell the user: {failure:?}"),
///         MusicOutcome::Inconsistent(_) | MusicOutcome::Unknown => {
///             format!("ask the provider about {}", event.task_id())
///         }
///         _ => String::from("wait"),
///     }
/// }
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum MusicOutcome<'a> {
    /// All is made, and at least one track has a link; look at each, for others may have none. Files
    /// are kept for 14 days (<https://docs.kie.ai/suno-api/generate-music-callbacks>).
    Complete(Vec<Track>),
    /// One track can be heard, and at least one has a link; this is not the end.
    First(Vec<Track>),
    /// The lyrics are written. Most such callbacks bring no track, so the list may be empty.
    Text(Vec<Track>),
    /// The task has failed: the code or the stage says so, and no track denies it.
    Failed(TaskFailure<'a>),
    /// Nothing is there yet: of a record.
    Pending,
    /// Something claims success and something else denies it: as
    /// [`TaskOutcome::Inconsistent`](crate::product::TaskOutcome::Inconsistent). Ask the provider
    /// before acting on it.
    Inconsistent(&'static str),
    /// Nothing that is known to mean something, or the content of another product. Ask the provider.
    Unknown,
}

impl MusicOutcome<'_> {
    /// A short constant name: `complete`, `first`, `text`, `failed`, `pending`, `inconsistent`,
    /// `unknown`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Complete(_) => "complete",
            Self::First(_) => "first",
            Self::Text(_) => "text",
            Self::Failed(_) => "failed",
            Self::Pending => "pending",
            Self::Inconsistent(_) => "inconsistent",
            Self::Unknown => "unknown",
        }
    }
}

/// Of the tracks it shows their ids: neither texts nor links.
impl fmt::Debug for MusicOutcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete(tracks) => f.debug_tuple("Complete").field(tracks).finish(),
            Self::First(tracks) => f.debug_tuple("First").field(tracks).finish(),
            Self::Text(tracks) => f.debug_tuple("Text").field(tracks).finish(),
            Self::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
            Self::Inconsistent(why) => f.debug_tuple("Inconsistent").field(why).finish(),
            Self::Pending | Self::Unknown => f.write_str(self.as_str()),
        }
    }
}
