//! A store whose operations are counted and timed.

#[cfg(not(feature = "metrics"))]
use self::off::measure;
#[cfg(feature = "metrics")]
use self::on::measure;

use std::{future::Future, sync::Arc, time::Duration};

use super::{
    catalogue::{STORE_OPERATION, STORE_OPERATIONS},
    handles::{Counter, Histogram, Shared, counter, histogram},
};
use crate::store::{Claim, DedupStore, Held, Owner, Record, Settled, SlotKey};

/// The one way of the layer to its store.
pub(crate) struct MeteredStore<D> {
    store: Arc<D>,
    meters: Shared<Meters>,
}

#[derive(Clone)]
struct Meters {
    peek: Operation,
    claim: Operation,
    renew: Operation,
    commit: Operation,
    release: Operation,
}

/// What is known of one operation.
#[derive(Clone)]
struct Operation {
    ok: Counter,
    failed: Counter,
    panicked: Counter,
    abandoned: Counter,
    time: Histogram,
}

impl<D: DedupStore> MeteredStore<D> {
    pub(crate) fn new(store: Arc<D>) -> Self {
        let meters = Shared::new(Meters {
            peek: Operation::of("peek"),
            claim: Operation::of("claim"),
            renew: Operation::of("renew"),
            commit: Operation::of("commit"),
            release: Operation::of("release"),
        });
        Self { store, meters }
    }

    pub(crate) fn peek(
        &self,
        slot: &SlotKey,
    ) -> impl Future<Output = Result<Option<Record>, D::Error>> + Send {
        measure(&self.meters.peek, self.store.peek(slot))
    }

    pub(crate) fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> impl Future<Output = Result<Claim, D::Error>> + Send {
        measure(&self.meters.claim, self.store.claim(slot, owner, lease))
    }

    pub(crate) fn renew(
        &self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> impl Future<Output = Result<Settled, D::Error>> + Send {
        measure(&self.meters.renew, self.store.renew(slot, held, lease))
    }

    pub(crate) fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> impl Future<Output = Result<Settled, D::Error>> + Send {
        let commit = self.store.commit(slot, held, record, retain);
        measure(&self.meters.commit, commit)
    }

    pub(crate) fn release(
        &self,
        slot: &SlotKey,
        held: &Held,
    ) -> impl Future<Output = Result<Settled, D::Error>> + Send {
        measure(&self.meters.release, self.store.release(slot, held))
    }
}

// Derived, it would ask the store to be `Clone`.
impl<D> Clone for MeteredStore<D> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            meters: self.meters.clone(),
        }
    }
}

impl Operation {
    fn of(operation: &'static str) -> Self {
        let operation = ("operation", operation);
        let outcome = |outcome| counter(&STORE_OPERATIONS, &[operation, ("outcome", outcome)]);
        Self {
            ok: outcome("ok"),
            failed: outcome("failed"),
            panicked: outcome("panicked"),
            abandoned: outcome("abandoned"),
            time: histogram(&STORE_OPERATION, &[operation]),
        }
    }
}

#[cfg(feature = "metrics")]
mod on {
    use std::{
        future::Future,
        pin::Pin,
        task::{Context, Poll, ready},
    };

    use pin_project_lite::pin_project;
    use tokio::time::Instant;

    use super::{
        super::handles::{now, record},
        Operation,
    };

    /// Counts `operation` when it ends, or is dropped before.
    pub(super) fn measure<F: Future>(meters: &Operation, operation: F) -> Measured<'_, F> {
        Measured {
            operation,
            running: Running {
                meters,
                began: Instant::now(),
                seen: Seen::Nothing,
            },
        }
    }

    pin_project! {
        pub(super) struct Measured<'a, F> {
            #[pin]
            operation: F,
            running: Running<'a>,
        }
    }

    struct Running<'a> {
        meters: &'a Operation,
        began: Instant,
        seen: Seen,
    }

    /// How far an operation was seen.
    enum Seen {
        Nothing,
        /// What is dropped in this state has panicked.
        Polling,
        Ok,
        Failed,
    }

    impl<T, E, F: Future<Output = Result<T, E>>> Future for Measured<'_, F> {
        type Output = Result<T, E>;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
            let this = self.project();
            this.running.seen = Seen::Polling;
            let polled = this.operation.poll(cx);
            this.running.seen = Seen::Nothing;
            let answer = ready!(polled);
            this.running.seen = match &answer {
                Ok(_) => Seen::Ok,
                Err(_) => Seen::Failed,
            };
            Poll::Ready(answer)
        }
    }

    impl Drop for Running<'_> {
        fn drop(&mut self) {
            let outcome = match self.seen {
                Seen::Nothing => &self.meters.abandoned,
                Seen::Polling => &self.meters.panicked,
                Seen::Ok => &self.meters.ok,
                Seen::Failed => &self.meters.failed,
            };
            outcome.increment(1);
            record(&self.meters.time, self.began, now());
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use super::Operation;

    pub(super) fn measure<F>(meters: &Operation, operation: F) -> F {
        let _ = (&meters.ok, &meters.failed, &meters.panicked);
        let _ = (&meters.abandoned, &meters.time);
        operation
    }
}
