//! The lease of a granted claim: what this process knows of it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::util::timer::by;

/// Until when a claim is surely ours. It counts from when the store was last asked, because that is
/// the earliest at which it can have begun to count.
pub(crate) struct Lease {
    granted_until: Instant,
    /// By how many nanoseconds it was renewed beyond that.
    renewed_by: AtomicU64,
    /// The last renewal was not answered.
    is_failing: AtomicBool,
    /// The store said that somebody else holds the slot.
    is_lost: AtomicBool,
    lost: Notify,
}

impl Lease {
    /// A lease that ends `until`, unless it is renewed.
    pub(crate) fn new(until: Instant) -> Self {
        Self {
            granted_until: until,
            renewed_by: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            lost: Notify::const_new(),
        }
    }

    pub(crate) fn renew(&self, until: Instant) {
        // Tries that run side by side may be answered in any order.
        let by = nanos(self.granted_until, until);
        self.renewed_by.fetch_max(by, Relaxed);
        self.is_failing.store(false, Relaxed);
    }

    /// A renewal was not answered.
    pub(crate) fn fail(&self) {
        self.is_failing.store(true, Relaxed);
    }

    /// Whether the store is away, as far as renewals know.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Relaxed)
    }

    /// Somebody else holds the slot.
    pub(crate) fn lose(&self) {
        self.is_lost.store(true, Relaxed);
        self.lost.notify_waiters();
    }

    /// When it ends; `None` when it was lost.
    pub(crate) fn until(&self) -> Option<Instant> {
        let by = Duration::from_nanos(self.renewed_by.load(Relaxed));
        (!self.is_lost.load(Relaxed)).then(|| self.granted_until + by)
    }

    /// Whether it lives, as far as this process can know.
    pub(crate) fn is_alive(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    /// Completes when it no longer lives.
    pub(crate) async fn over(&self) {
        loop {
            // Made before the look, so that a loss between look and wait is not missed.
            let lost = self.lost.notified();
            match self.until() {
                Some(until) if Instant::now() < until => drop(by(until, lost).await),
                _ => return,
            }
        }
    }
}

fn nanos(from: Instant, to: Instant) -> u64 {
    let span = to.saturating_duration_since(from);
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
