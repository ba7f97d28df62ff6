//! The lease of a granted claim: what this process knows of it, and the heartbeat that keeps it.
//!
//! While it lives, its holder asks a store that fails again sooner than anybody else is answered, so
//! that an outage that is shorter than the lease less one operation never passes the event on.

use std::{convert::Infallible, future::pending, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::{
    delivery::Delivery,
    request::log,
    request::pipeline::Pipeline,
    store::{DedupStore, Settled},
    util::timer::Backoff,
};

/// A record has no lease that could end.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

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
                log::heartbeat_late(&delivery.0, due.elapsed());
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
            log::claim_lost(delivery);
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
