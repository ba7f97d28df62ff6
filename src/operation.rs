//! One operation of the store: its tries, the time they have, and what may go wrong.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep};
use tower::BoxError;

use crate::{
    panic::{Guarded, Panicked},
    pipeline::Pipeline,
    store::DedupStore,
    timer::{Alarm, Backoff, OrAlarm, by, within},
    trace,
};

impl<D: DedupStore> Pipeline<D> {
    const TRIES: usize = 3;

    /// Tries a store operation up to three times. `None` when it failed or `end` came.
    pub(crate) async fn store<T, F>(
        &self,
        name: &'static str,
        end: Instant,
        operation: impl Fn() -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, D::Error>>,
    {
        let tried = self.store_once(name, || end, &operation).await;
        if tried.is_some() {
            return tried;
        }
        // Boxed, so that the way without a failure stays small.
        Box::pin(self.store_again(name, end, operation)).await
    }

    async fn store_again<T, F>(
        &self,
        name: &'static str,
        end: Instant,
        operation: impl Fn() -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, D::Error>>,
    {
        let rest = self.times.store_budget - self.times.store_operation;
        let end = end.min(Instant::now() + rest);
        let mut backoff = Backoff::new(rest / 30, rest / 10);
        for _ in 1..Self::TRIES {
            by(end, sleep(backoff.pause())).await?;
            let tried = self.store_once(name, || end, &operation).await;
            if tried.is_some() {
                return tried;
            }
        }
        None
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
            Some(Ok(Err(error))) => trace::store_failed(this.name, &error.into()),
            Some(Err(Panicked)) => {} // logged where it was caught
            None => trace::store_slow(this.name),
        }
        Poll::Ready(None)
    }
}
