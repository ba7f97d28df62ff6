/// How far an event says that its task is, in the words of the layer: what chooses the event's slot,
/// how long it is remembered, and whether anything better may come.
///
/// ```text
///              Progress "text" -> Progress "first" -> Success      the rest of the task is late
///                                        \----------> Failure      a success may still follow
/// ```
///
/// Stages come in any order, several times, or never: none waits for the one before it. Once a
/// success is done, everything else of its task is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// There is a result. One slot a task, for ever.
    Success,
    /// The task has failed. One slot a task; a success may still follow, because a failure may be
    /// forged or premature.
    Failure,
    /// Something on the way. One slot for each name, and for each
    /// [variant](crate::product::Event::variant) of it.
    Progress {
        /// What tells it from other progress.
        name: &'static str,
        /// How far that is: 0 where it says nothing that a handler could act on, and more the
        /// further it is. A record answers a question about progress when it is as far.
        step: u8,
    },
    /// Something claims success and something else denies it, or a key is repeated. One slot for
    /// each content.
    Inconsistent {
        /// A short constant name of the reason.
        why: &'static str,
    },
    /// Nothing that is known to mean something. One slot for each content, so that nothing is
    /// swallowed.
    Unknown,
}

impl Stage {
    /// `success`, `failure`, `progress`, `inconsistent` or `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Progress { .. } => "progress",
            Self::Inconsistent { .. } => "inconsistent",
            Self::Unknown => "unknown",
        }
    }
}
