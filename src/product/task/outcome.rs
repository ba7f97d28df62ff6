use std::fmt;

use super::TaskFailure;

/// What an event of a task means, decided from code, word and result together.
///
/// Each product has a name for it, with the result of that product as `T`.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum TaskOutcome<'a, T> {
    /// The task has ended well, and this is what it brought. Its links expire (files are kept for
    /// 14 days, of some jobs for one), so fetch them soon.
    Ready(T),
    /// The task has failed.
    Failed(TaskFailure<'a>),
    /// Progress that the provider documents.
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
