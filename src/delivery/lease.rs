//! The lease of a granted claim: what this process knows of it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::{delivery::arrival::Arrival, util::timer::by};
use tokio::{sync::Notify, time::Instant};

/// Until when a claim is surely ours. It counts from when the store was last asked, because that is
/// the earliest at which it can have begun to count.
pub(crate) struct Lease {
    /// In nanoseconds after the arrival began.
    until: AtomicU64,
    /// The last renewal was not answered.
    pub(crate) is_failing: AtomicBool,
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

    pub(crate) fn renew(&self, until: Duration) {
        let nanos = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        // Tries that run side by side may be answered in any order.
        self.until.fetch_max(nanos, Relaxed);
        self.is_failing.store(false, Relaxed);
    }

    /// Whether the store is away, as far as renewals know.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Relaxed)
    }

    pub(crate) fn lose(&self) {
        self.is_lost.store(true, Relaxed);
        self.lost.notify_waiters();
    }
}

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
