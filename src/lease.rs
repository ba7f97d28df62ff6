//! The lease of a granted claim: what this process knows of it, and the heartbeat that keeps it.
//!
//! While it lives, its holder asks a store that fails again sooner than anybody else is answered, so
//! that an outage that is shorter than the lease less one operation never passes the event on.

use std::{
    convert::Infallible,
    future::pending,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{
    arrival::Arrival,
    delivery::Delivery,
    pipeline::Pipeline,
    store::{DedupStore, Settled},
    timer::{Backoff, by},
    trace,
};

/// Until when a claim is surely ours. It counts from when the store was last asked, because that is
/// the earliest at which it can have begun to count.
pub(crate) struct Lease {
    /// In nanoseconds after the arrival began.
    until: AtomicU64,
    /// The last renewal was not answered.
    is_failing: AtomicBool,
    /// The store said that somebody else holds the slot.
    is_lost: AtomicBool,
    lost: Notify,
}

impl Lease {
    /// The lease of an event that nobody holds.
    pub(crate) const fn none() -> Self {
        Self {
            until: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            lost: Notify::const_new(),
        }
    }

    /// A lease that ends `until` after the arrival began.
    pub(crate) fn ending(until: Duration) -> Self {
        let lease = Self::none();
        lease.renew(until);
        lease
    }

    fn renew(&self, until: Duration) {
        let nanos = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        // Tries that run side by side may be answered in any order.
        self.until.fetch_max(nanos, Relaxed);
        self.is_failing.store(false, Relaxed);
    }

    /// Whether the store is away, as far as renewals know.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Relaxed)
    }

    fn lose(&self) {
        self.is_lost.store(true, Relaxed);
        self.lost.notify_waiters();
    }
}

/// A record has no lease that could end.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Arrival {
    /// When the lease of the granted claim ends; `None` when it was lost.
    pub(crate) fn leased_until(&self) -> Option<Instant> {
        let lease = &self.granted().lease;
        let until = Duration::from_nanos(lease.until.load(Relaxed));
        (!lease.is_lost.load(Relaxed)).then(|| self.began + until)
    }

    /// Whether the lease lives, as far as this process can know.
    pub(crate) fn is_leased(&self) -> bool {
        self.leased_until()
            .is_some_and(|until| Instant::now() < until)
    }

    /// Completes when the lease no longer lives.
    pub(crate) async fn lease_over(&self) {
        loop {
            // Made before the look, so that a loss between look and wait is not missed.
            let lost = self.granted().lease.lost.notified();
            match self.leased_until() {
                Some(until) if Instant::now() < until => drop(by(until, lost).await),
                _ => return,
            }
        }
    }
}

impl<D: DedupStore> Pipeline<D> {
    /// Renews the lease for ever. A beat that fails is no reason to stop: the commit decides.
    pub(crate) async fn heartbeat(&self, delivery: &Delivery, granted: Instant) -> Infallible {
        let times = &self.times;
        // From the grant on: the first poll may have blocked the thread for longer than a beat.
        let mut due = granted + times.heartbeat;
        let mut patience = Backoff::new(times.quick(), times.heartbeat);
        loop {
            sleep_until(due).await;
            if due.elapsed() > times.lease / 2 {
                trace::heartbeat_late(&delivery.0, due.elapsed());
            }
            let asked = Instant::now();
            due = match self.renew(delivery).await {
                Some(Settled::Applied) => {
                    patience = Backoff::new(times.quick(), times.heartbeat);
                    (asked + times.heartbeat).max(Instant::now())
                }
                Some(Settled::Lost) => return self.stop_renewing(delivery).await,
                None => Instant::now() + patience.pause(),
            };
        }
    }

    /// Renews the lease; while it lives, until there is an answer.
    async fn renew(&self, delivery: &Delivery) -> Option<Settled> {
        let end = || Instant::now() + self.times.store_operation;
        let renewed = self.store_once("renew", end, || self.renewal(delivery));
        let renewed = renewed.await;
        if renewed.is_some() {
            return renewed;
        }
        delivery.0.granted().lease.is_failing.store(true, Relaxed);
        let end = self.end_of_haste(delivery)?;
        let renewal = |_| self.renewal(delivery);
        Box::pin(self.insist("renew", end, self.times.quick(), renewal)).await
    }

    /// Until when a store that is away is asked in haste; `None` where that is over.
    ///
    /// A beat longer than the lease lives: it may have been a beat old when the store went away, and
    /// one that nobody took is still ours when it comes back.
    pub(crate) fn end_of_haste(&self, delivery: &Delivery) -> Option<Instant> {
        let end = delivery.0.leased_until()? + self.times.heartbeat;
        (Instant::now() < end).then_some(end)
    }

    /// Renews the lease once.
    pub(crate) async fn renewal(&self, delivery: &Delivery) -> Result<Settled, D::Error> {
        let it = delivery.0.granted();
        let (asked, lease) = (Instant::now(), self.times.lease);
        let renewed = self.store.renew(&it.slot, &it.held, lease).await?;
        if renewed == Settled::Applied {
            it.lease.renew(asked - delivery.0.began + lease);
        }
        Ok(renewed)
    }

    /// The slot is no longer held: by us, because it is done, or because another holds it.
    async fn stop_renewing(&self, delivery: &Delivery) -> Infallible {
        let lease = &delivery.0.granted().lease;
        if self.is_settled(delivery).await {
            lease.renew(FOREVER);
        } else {
            lease.lose();
            trace::claim_lost(delivery);
        }
        pending().await
    }

    /// Whether the slot is done by this very claim: the handler committed it itself. The record does
    /// not say, because another who handled the same event wrote the same; a commit that is repeated
    /// by its owner does, and from anybody else it changes nothing. A store that is away meanwhile is
    /// asked in haste: the lease runs out by itself, and an alarm that is false cannot be taken back.
    async fn is_settled(&self, delivery: &Delivery) -> bool {
        let it = delivery.0.granted();
        let commit = |_| self.store.commit(&it.slot, &it.held, &it.record, it.retain);
        let once = Instant::now() + self.times.store_operation;
        let end = self.end_of_haste(delivery);
        let end = end.map_or(once, |end| end.max(once));
        let repeated = Box::pin(self.insist("commit", end, self.times.quick(), commit));
        repeated.await == Some(Settled::Applied)
    }
}
