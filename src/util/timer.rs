//! Timers that are armed only when somebody really waits.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::util::{clock, random};

/// Goes off at an instant. Registers with the runtime at the first poll, not before.
pub(crate) struct Alarm {
    at: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    pub(crate) fn at(at: Instant) -> Self {
        Self { at, sleep: None }
    }

    /// Has it go off at another instant.
    pub(crate) fn set(&mut self, at: Instant) {
        if self.at != at {
            *self = Self::at(at);
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Two timers of one instant may be fired one after the other; the clock speaks for both.
        if clock::look() >= self.at {
            return Poll::Ready(());
        }
        self.sleep
            .get_or_insert_with(|| Box::pin(sleep_until(self.at)))
            .as_mut()
            .poll(cx)
    }
}

/// The output of `future`, or `None` when it is not there by `at`. The future always gets one poll.
pub(crate) fn by<F: Future>(at: Instant, future: F) -> OrAlarm<F, impl Fn() -> Alarm> {
    OrAlarm::new(future, move || Alarm::at(at))
}

/// The output of `future`, or `None` when it is not there by `at` or takes longer than `span`.
pub(crate) fn within<F: Future>(
    span: Duration,
    at: impl Fn() -> Instant,
    future: F,
) -> OrAlarm<F, impl Fn() -> Alarm> {
    OrAlarm::new(future, move || Alarm::at(at().min(clock::look() + span)))
}

pin_project! {
    /// A future against an alarm that is set when the future is pending. Written by hand, because an
    /// `async fn` would hold the future twice.
    pub(crate) struct OrAlarm<F, S> {
        #[pin]
        future: F,
        set: S,
        alarm: Option<Alarm>,
    }
}

impl<F, S> OrAlarm<F, S> {
    fn new(future: F, set: S) -> Self {
        let alarm = None;
        Self { future, set, alarm }
    }
}

impl<F: Future, S: Fn() -> Alarm> Future for OrAlarm<F, S> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                let alarm = this.alarm.get_or_insert_with(this.set);
                alarm.poll(cx).map(|()| None)
            }
        }
    }
}

/// Completes when one of the two does, and drops neither.
pub(crate) async fn either<A, B>(mut a: Pin<&mut A>, mut b: Pin<&mut B>)
where
    A: Future,
    B: Future,
{
    std::future::poll_fn(|cx| {
        let one = a.as_mut().poll(cx).is_ready() || b.as_mut().poll(cx).is_ready();
        if one { Poll::Ready(()) } else { Poll::Pending }
    })
    .await
}

/// Pauses that double up to a longest one, each shortened by up to a quarter so that those who wait
/// for the same thing do not come back together.
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// What the runtime's timer can tell from nothing: a pause of zero would be none, for ever.
    const SHORTEST: Duration = Duration::from_millis(1);

    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        let longest = longest.max(Self::SHORTEST);
        let next = first.clamp(Self::SHORTEST, longest);
        Self { next, longest }
    }

    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next - random::below(self.next / 4);
        self.next = self.next.saturating_mul(2).min(self.longest);
        pause
    }
}
