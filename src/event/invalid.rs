use std::fmt;

/// Why a body is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidEvent {
    /// Not a JSON object, or a task id with half a character in it. Such damage in another text is
    /// read with replacement characters.
    NotJson,
    /// None of the four places has a task id.
    NoTaskId,
    /// Two places have different task ids.
    TaskIdsDiffer,
    /// `data` or a task id is there twice.
    RepeatedKey,
    /// The task id is not a string of 1 to 256 bytes without control characters.
    TaskIdOutsideGrammar,
}

impl fmt::Display for InvalidEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "the body is not a JSON object",
            Self::NoTaskId => "the body has no task id",
            Self::TaskIdsDiffer => "the body names two different tasks",
            Self::RepeatedKey => "a key on the way to the task id is repeated",
            Self::TaskIdOutsideGrammar => "the task id is outside its grammar",
        })
    }
}

impl std::error::Error for InvalidEvent {}
