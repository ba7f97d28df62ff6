//! The store, with the patience that an event deserves.
//!
//! Patience is counted in time and not in tries: an outage that ends while the deadline still leaves
//! the handler its share costs the provider no try.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::BoxError;

use super::{drain::Drain, tries::Tries};
use crate::{
    config::Times,
    delivery::Delivery,
    metrics::MeteredStore,
    store::{Claim, DedupStore, Owner, Record, Settled, SlotKey},
    util::{
        log,
        panic::{Guarded, Panicked, catch},
        timer::{Alarm, OrAlarm, by, within},
    },
};

/// A store whose operations are bounded, guarded against panics, and repeated.
pub(crate) struct PatientStore<D> {
    store: MeteredStore<D>,
    pub(crate) times: Times,
    drain: Drain,
}

impl<D: DedupStore> PatientStore<D> {
    pub(crate) fn new(store: Arc<D>, times: Times, drain: Drain) -> Self {
        Self {
            store: MeteredStore::new(store),
            times,
            drain,
        }
    }

    /// Looks whether a slot is done, for as long as the deadline leaves the handler its share.
    /// `None` when the store gave no answer.
    pub(crate) async fn peek(&self, slot: &SlotKey, deadline: Instant) -> Option<Option<Record>> {
        let peeked = self.peek_once(slot, deadline).await;
        if peeked.is_some() {
            return peeked;
        }
        // Boxed, so that the way without a failure stays small.
        Box::pin(self.peek_again(slot, deadline)).await
    }

    async fn peek_again(&self, slot: &SlotKey, deadline: Instant) -> Option<Option<Record>> {
        let mut tries = self.tries(deadline);
        while let Some(end) = tries.next().await {
            if self.drain.is_ending() {
                return None;
            }
            let peeked = self.peek_once(slot, end).await;
            if peeked.is_some() {
                return peeked;
            }
        }
        None
    }

    pub(crate) fn peek_once(
        &self,
        slot: &SlotKey,
        end: Instant,
    ) -> impl Future<Output = Option<Option<Record>>> {
        self.once("peek", move || end, move || self.store.peek(slot))
    }

    /// Claims once.
    pub(crate) fn claim_once(
        &self,
        slot: &SlotKey,
        owner: Owner,
        end: Instant,
    ) -> impl Future<Output = Option<Claim>> {
        let lease = self.times.lease;
        self.once(
            "claim",
            move || end,
            move || self.store.claim(slot, owner, lease),
        )
    }

    /// Claims in this poll. `None` also where there is no answer in it.
    pub(crate) fn claim_at_once(
        &self,
        slot: &SlotKey,
        owner: Owner,
        cx: &mut Context<'_>,
    ) -> Option<Claim> {
        let claim = || self.store.claim(slot, owner, self.times.lease);
        self.at_once("claim", claim, cx)
    }

    /// Renews the lease of a delivery once, and notes until when it holds.
    pub(crate) async fn renew(&self, delivery: &Delivery) -> Result<Settled, D::Error> {
        let (asked, lease) = (Instant::now(), self.times.lease);
        let renewed = self.store.renew(delivery.slot(), delivery.held(), lease);
        let renewed = renewed.await?;
        if renewed == Settled::Applied {
            delivery.lease().renew(asked + lease);
        }
        Ok(renewed)
    }

    pub(crate) fn renew_once(&self, delivery: &Delivery) -> impl Future<Output = Option<Settled>> {
        self.once("renew", || self.operation_end(), || self.renew(delivery))
    }

    /// Marks the slot of a delivery done.
    pub(crate) fn commit(
        &self,
        delivery: &Delivery,
    ) -> impl Future<Output = Result<Settled, D::Error>> {
        let (slot, held) = (delivery.slot(), delivery.held());
        let (record, retain) = (delivery.record(), delivery.retain());
        self.store.commit(slot, held, record, retain)
    }

    /// Commits once. When it has to end is asked when it is pending.
    pub(crate) fn commit_once(
        &self,
        delivery: &Delivery,
        end: impl Fn() -> Instant,
    ) -> impl Future<Output = Option<Settled>> {
        self.once("commit", end, move || self.commit(delivery))
    }

    /// Commits in this poll. `None` also where there is no answer in it.
    pub(crate) fn commit_at_once(
        &self,
        delivery: &Delivery,
        cx: &mut Context<'_>,
    ) -> Option<Settled> {
        self.at_once("commit", || self.commit(delivery), cx)
    }

    pub(crate) fn release_once(
        &self,
        delivery: &Delivery,
        end: impl Fn() -> Instant,
    ) -> impl Future<Output = Option<Settled>> {
        let release = move || self.store.release(delivery.slot(), delivery.held());
        self.once("release", end, release)
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
                let tried = self.once(name, || self.operation_end(), move || operation(n));
                running.push(Box::pin(tried));
                count += 1;
                due = Instant::now() + pause;
            }
        });
        by(end, answer).await.flatten()
    }

    /// The further tries of an operation that has failed once.
    pub(crate) fn tries(&self, deadline: Instant) -> Tries {
        Tries::of_one_that_failed(&self.times, deadline)
    }

    /// Until when an operation may take that begins now, where nobody waits for it.
    pub(crate) fn operation_end(&self) -> Instant {
        Instant::now() + self.times.store_operation
    }

    /// Until when a store that is away is asked in haste; `None` where that is over.
    ///
    /// Longer than the lease lives: one that nobody took is still ours when the store comes back.
    pub(crate) fn end_of_haste(&self, delivery: &Delivery) -> Option<Instant> {
        let end = delivery.lease().until()? + self.times.haste();
        (Instant::now() < end).then_some(end)
    }

    /// Tries an operation in this poll. `None` when it failed, panicked, or has to wait: then it is
    /// dropped.
    fn at_once<T, F>(
        &self,
        name: &'static str,
        operation: impl FnOnce() -> F,
        cx: &mut Context<'_>,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, D::Error>>,
    {
        match catch(name, || pin!(operation()).poll(cx)) {
            Ok(Poll::Ready(Ok(answer))) => return Some(answer),
            Ok(Poll::Ready(Err(error))) => log::store_failed(name, &error.into()),
            Ok(Poll::Pending) => {}
            Err(Panicked) => {} // logged where it was caught
        }
        None
    }

    /// Tries an operation once. `None` when it failed, panicked, or was not answered in time.
    fn once<T, F>(
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

// Derived, it would ask the store to be `Clone`.
impl<D> Clone for PatientStore<D> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            times: self.times.clone(),
            drain: self.drain.clone(),
        }
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
