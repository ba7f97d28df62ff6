/// What became of an event that was not refused.
///
/// The layer puts it into the extensions of its response, beside or instead of a
/// [`Rejection`](crate::Rejection).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Disposition {
    /// 200: the handler succeeded, and that is recorded.
    Accepted,
    /// 200: the handler succeeded; recording it goes on in the background.
    CommitDeferred,
    /// 200: the handler succeeded, but its claim had passed to another meanwhile, whose record
    /// stands. The handler may have run twice.
    ClaimLost,
    /// 200: it was handled before.
    Duplicate,
    /// 200: the task had already succeeded, so nothing else of it matters.
    Late,
    /// 200: the task had already succeeded with another result. Reported to the conflict hook.
    Conflict,
    /// The handler answered something else than success, and the claim was released.
    HandlerFailed,
}

impl Disposition {
    /// A short constant name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::CommitDeferred => "commit_deferred",
            Self::ClaimLost => "claim_lost",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Conflict => "conflict",
            Self::HandlerFailed => "handler_failed",
        }
    }
}
