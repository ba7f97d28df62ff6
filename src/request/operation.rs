//! One operation of the store: its tries, the time they have, and what may go wrong.
//!
//! Patience is counted in time and not in tries: an outage that ends while the deadline still leaves
//! the handler its share costs the provider no try.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep_until};
use tower::BoxError;

use crate::{
    config::Times,
    request::pipeline::Pipeline,
    store::DedupStore,
    util::log,
    util::panic::{Guarded, Panicked},
    util::timer::{Alarm, Backoff, OrAlarm, by, within},
};

impl<D: DedupStore> Pipeline<D> {
    /// Tries a store operation for as long as the deadline leaves the handler its share. `None`
    /// when that was not enough.
    pub(crate) async fn patiently<T, F>(
        &self,
        name: &'static str,
        deadline: Instant,
        operation: impl Fn() -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, D::Error>>,
    {
        let tried = self.store_once(name, || deadline, &operation).await;
        if tried.is_some() {
            return tried;
        }
        // Boxed, so that the way without a failure stays small.
        Box::pin(self.again(name, deadline, operation)).await
    }

    async fn again<T, F>(
        &self,
        name: &'static str,
        deadline: Instant,
        operation: impl Fn() -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, D::Error>>,
    {
        let mut tries = self.tries(deadline);
        while let Some(end) = tries.next().await {
            if self.drain.is_ending() {
                return None;
            }
            let tried = self.store_once(name, || end, &operation).await;
            if tried.is_some() {
                return tried;
            }
        }
        None
    }

    /// Asks until there is an answer or `end` comes, `pause` after each failure. A try that hangs is
    /// not waited for: others are started beside it, so that a store that comes back is found.
    ///
    /// `operation` is given the number of the try.
    pub(crate) async fn insist<T, F>(
        &self,
        name: &'static str,
        end: Instant,
        pause: Duration,
        operation: impl Fn(usize) -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, D::Error>>,
    {
        let spacing = pause.max(self.times.spacing());
        let operation_end = || Instant::now() + self.times.store_operation;
        let (mut running, mut count) = (Vec::new(), 0);
        let mut due = Instant::now();
        let mut alarm = Alarm::at(due);
        let answer = poll_fn(|cx| {
            loop {
                if let Some(answer) = poll_any(&mut running, cx) {
                    return Poll::Ready(Some(answer));
                }
                alarm.set(if running.is_empty() {
                    due
                } else {
                    due + (spacing - pause)
                });
                ready!(alarm.poll(cx));
                if self.drain.is_ending() {
                    return Poll::Ready(None);
                }
                let (n, operation) = (count, &operation);
                let tried = self.store_once(name, operation_end, move || operation(n));
                running.push(Box::pin(tried));
                count += 1;
                due = Instant::now() + pause;
            }
        });
        by(end, answer).await.flatten()
    }

    /// The further tries of an operation that has failed once.
    pub(crate) fn tries(&self, deadline: Instant) -> Tries {
        let last = deadline.checked_sub(self.times.share());
        Tries {
            backoff: self.times.backoff(),
            last: Some(last.unwrap_or(deadline)),
            deadline,
        }
    }

    /// Tries a store operation once. `None` when it failed, panicked, or was not answered in time.
    pub(crate) fn store_once<T, F>(
        &self,
        name: &'static str,
        end: impl Fn() -> Instant,
        operation: impl FnOnce() -> F,
    ) -> impl Future<Output = Option<T>>
    where
        F: Future<Output = Result<T, D::Error>>,
    {
        let guarded = Guarded::new(name, operation);
        let operation = within(self.times.store_operation, end, guarded);
        Try { name, operation }
    }
}

/// When an operation is tried again before the claim is granted: after pauses, and a last time when
/// the deadline leaves the handler no more than its share. A try that hangs is cut there, so that a
/// store that has come back by then is found.
pub(crate) struct Tries {
    backoff: Backoff,
    last: Option<Instant>,
    deadline: Instant,
}

impl Tries {
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

/// The answer of one that has one. Those that have failed are taken out.
fn poll_any<F, T>(running: &mut Vec<Pin<Box<F>>>, cx: &mut Context<'_>) -> Option<T>
where
    F: Future<Output = Option<T>>,
{
    let mut answer = None;
    running.retain_mut(|it| match it.as_mut().poll(cx) {
        Poll::Ready(answered) => {
            answer = answer.take().or(answered);
            false
        }
        Poll::Pending => true,
    });
    answer
}

pin_project! {
    /// Written by hand, because an `async fn` would hold the operation twice.
    struct Try<C, F, S> {
        name: &'static str,
        #[pin]
        operation: OrAlarm<Guarded<C, F>, S>,
    }
}

impl<C, F, S, T, E> Future for Try<C, F, S>
where
    C: FnOnce() -> F,
    F: Future<Output = Result<T, E>>,
    S: Fn() -> Alarm,
    E: Into<BoxError>,
{
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.project();
        match ready!(this.operation.poll(cx)) {
            Some(Ok(Ok(answer))) => return Poll::Ready(Some(answer)),
            Some(Ok(Err(error))) => log::store_failed(this.name, &error.into()),
            Some(Err(Panicked)) => {} // logged where it was caught
            None => log::store_slow(this.name),
        }
        Poll::Ready(None)
    }
}
