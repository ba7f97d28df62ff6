//! Timers that are armed only when somebody really waits.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::random;

/// Goes off at an instant. Registers with the runtime at the first poll, not before.
pub(crate) struct Alarm {
    at: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    pub(crate) fn at(at: Instant) -> Self {
        Self { at, sleep: None }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Two timers of one instant may be fired one after the other; the clock speaks for both.
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        self.sleep
            .get_or_insert_with(|| Box::pin(sleep_until(self.at)))
            .as_mut()
            .poll(cx)
    }
}

/// The output of `future`, or `None` when it is not there by `at`. The future always gets one poll.
pub(crate) async fn by<F: Future>(at: Instant, future: F) -> Option<F::Output> {
    or_alarm(future, || Alarm::at(at)).await
}

/// The output of `future`, or `None` when it is not there by `at` or takes longer than `span`.
pub(crate) async fn within<F: Future>(span: Duration, at: Instant, future: F) -> Option<F::Output> {
    or_alarm(future, || Alarm::at(at.min(Instant::now() + span))).await
}

async fn or_alarm<F: Future>(future: F, set: impl Fn() -> Alarm) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut alarm = None;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => alarm.get_or_insert_with(&set).poll(cx).map(|()| None),
    })
    .await
}

/// Completes when one of the two does, and drops neither.
#[cfg(feature = "client")]
pub(crate) async fn either<A, B>(mut a: Pin<&mut A>, mut b: Pin<&mut B>)
where
    A: Future,
    B: Future,
{
    poll_fn(
        |cx| match a.as_mut().poll(cx).is_ready() || b.as_mut().poll(cx).is_ready() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        },
    )
    .await
}

/// Pauses that double up to a longest one, each shortened by up to a quarter so that those who wait
/// for the same thing do not come back together.
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        let next = first.min(longest);
        Self { next, longest }
    }

    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next - random::below(self.next / 4);
        self.next = self.next.saturating_mul(2).min(self.longest);
        pause
    }
}
