/// What became of an event that was not refused, for metrics.
///
/// A response of the layer has one of two in its extensions: this, or a
/// [`Rejection`](crate::Rejection). All but [`HandlerFailed`](Self::HandlerFailed) are answered with
/// exactly 200, the only status that the provider counts as received, so it comes with this event no
/// more. An inner service that ends in an error of its own has no response to put it into; the log
/// says [`HandlerFailed`](Self::HandlerFailed) then too.
///
/// A handler that is not done at the reply deadline is a
/// [`Rejection::StillRunning`](crate::Rejection::StillRunning); how it ends is in the log.
///
/// # Example
///
/// A layer outside this one counts, and has somebody woken for what should not happen:
///
/// ```
/// use suno_callback::{Disposition, Rejection};
///
/// fn label<B>(response: &http::Response<B>) -> &'static str {
///     let extensions = response.extensions();
///     if let Some(disposition) = extensions.get::<Disposition>() {
///         if matches!(disposition, Disposition::ClaimLost | Disposition::Conflict) {
///             eprintln!("somebody should look at this");
///         }
///         return disposition.as_str();
///     }
///     extensions.get::<Rejection>().map_or("not ours", Rejection::as_str)
/// }
///
/// let mut response = http::Response::new(());
/// assert_eq!(label(&response), "not ours");
/// response.extensions_mut().insert(Disposition::Duplicate);
/// assert_eq!(label(&response), "duplicate");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Disposition {
    /// 200: the handler succeeded (2xx), and that is recorded.
    Accepted,
    /// 200: the handler succeeded, and the store has not taken that by the deadline. It is repeated
    /// for at most [`Times::detached`](crate::Times::detached), by default 10 minutes, and whoever
    /// comes to this process meanwhile is answered as if it were recorded. The log says so if it is
    /// given up: then another try would run the handler again.
    CommitDeferred,
    /// 200: the handler succeeded, but its claim had passed to another meanwhile, whose record
    /// stands. The handler may have run twice: its process was paused, or its store away, for longer
    /// than the lease.
    ClaimLost,
    /// 200: it was handled before, here or in another process. The handler did not run.
    Duplicate,
    /// 200: the task had already succeeded, so nothing else of it matters: progress that was
    /// overtaken, or a failure. The handler did not run.
    Late,
    /// 200: the task had already succeeded with another result. The handler did not run; the event
    /// is reported to [`on_conflict`](crate::SunoCallbackLayer::on_conflict), because nobody but the
    /// application can decide which of the two is true.
    Conflict,
    /// The handler answered something else than 2xx or ended in an error, and the claim was released:
    /// the provider's next try runs it again. The response is the handler's own, a 1xx or 3xx turned into 500.
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
