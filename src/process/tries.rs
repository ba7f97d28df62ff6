use tokio::time::{Instant, sleep_until};

use crate::{config::Times, util::timer::Backoff};

/// When an operation is tried again before the claim is granted: after pauses, and a last time when
/// the deadline leaves the handler no more than its share. A try that hangs is cut there, so that a
/// store that has come back by then is found.
pub(crate) struct Tries {
    backoff: Backoff,
    last: Option<Instant>,
    deadline: Instant,
}

impl Tries {
    /// From a first pause on, with the last one when the deadline leaves the handler its share.
    pub(crate) fn of_one_that_failed(times: &Times, deadline: Instant) -> Self {
        let last = deadline.checked_sub(times.share());
        Self {
            backoff: times.backoff(),
            last: Some(last.unwrap_or(deadline)),
            deadline,
        }
    }

    /// Waits until the next try is due, and says until when it may take. `None` when there is none.
    pub(crate) async fn next(&mut self) -> Option<Instant> {
        let last = self.last?;
        let due = Instant::now() + self.backoff.pause();
        if due < last {
            sleep_until(due).await;
            return Some(last);
        }
        self.last = None;
        sleep_until(last).await;
        Some(self.deadline)
    }

    /// The operation was answered: should it fail again, the pauses start anew.
    pub(crate) fn answered(&mut self, times: &Times) {
        self.backoff = times.backoff();
    }
}
