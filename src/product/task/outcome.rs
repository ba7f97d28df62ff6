use std::fmt;

use super::TaskFailure;

/// What an event of a task means, decided from code, word and result together: what a handler
/// matches. [Two witnesses](crate::product#the-products) decide an end.
///
/// Each product has a name for it, with the result of that product as `T`:
/// [`LyricsOutcome`](crate::product::LyricsOutcome), [`WavOutcome`](crate::product::WavOutcome),
/// [`StemsOutcome`](crate::product::StemsOutcome), [`MidiOutcome`](crate::product::MidiOutcome),
/// [`VideoOutcome`](crate::product::VideoOutcome),
/// [`CoverImageOutcome`](crate::product::CoverImageOutcome),
/// [`JobOutcome`](crate::product::JobOutcome), [`AnyOutcome`](crate::product::AnyOutcome).
///
/// A task has one `Ready`, after which nothing else of it is handed over, and one `Failed`, after
/// which a `Ready` may still come. The list may grow: a match needs a `_`, and what falls there is
/// best treated as `Pending`.
///
/// # Example
///
/// ```
/// use suno_callback::product::{CoverImageEvent, CoverImageOutcome};
///
/// fn act_on(event: &CoverImageEvent) -> String {
///     match event.outcome() {
///         CoverImageOutcome::Ready(links) => format!("fetch {} images", links.len()),
///         CoverImageOutcome::Failed(failure) if failure.is_refunded() => String::from("try again"),
///         CoverImageOutcome::Failed(failure) => format!("tell the user: {failure:?}"),
///         CoverImageOutcome::Inconsistent(_) | CoverImageOutcome::Unknown => {
///             format!("ask the provider about {}", event.task_id())
///         }
///         _ => String::from("wait"),
///     }
/// }
///
/// # use suno_callback::product::{CoverImage, Product};
/// let event = CoverImage.parse(r#"{"code":531,"data":{"taskId":"t","images":null}}"#)?;
/// assert_eq!(act_on(&event), "try again");
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum TaskOutcome<'a, T> {
    /// The task has ended well, and this is what it brought. Its links expire (files are kept for
    /// 14 days, of some jobs for one), so fetch them soon.
    Ready(T),
    /// The task has failed: the code or the word says so, and no result denies it.
    Failed(TaskFailure<'a>),
    /// Progress that the provider documents, with nothing to act on. Callbacks of most products never
    /// say this; records do.
    Pending,
    /// Something claims success and something else denies it. Ask the provider before acting on it.
    ///
    /// - `no_result`: a success, or a part of one, without anything usable.
    /// - `code_denies`: a result, and a code that is not 200.
    /// - `status_denies`: a word for failure or for progress beside a result or a success.
    /// - `callback_exception`: a record that says no more than that its callback failed.
    /// - `repeated_key`: a key is there twice, or in two spellings that differ.
    Inconsistent(&'static str),
    /// Nothing that is known to mean something, or the content of another product. Ask the provider.
    Unknown,
}

impl<T> TaskOutcome<'_, T> {
    /// A short constant name: `ready`, `failed`, `pending`, `inconsistent`, `unknown`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ready(_) => "ready",
            Self::Failed(_) => "failed",
            Self::Pending => "pending",
            Self::Inconsistent(_) => "inconsistent",
            Self::Unknown => "unknown",
        }
    }
}

/// Without the result: links and texts are nothing for a log.
impl<T> fmt::Debug for TaskOutcome<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(_) => f.debug_tuple("Ready").finish_non_exhaustive(),
            Self::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
            Self::Pending => f.write_str("Pending"),
            Self::Inconsistent(why) => f.debug_tuple("Inconsistent").field(why).finish(),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}
