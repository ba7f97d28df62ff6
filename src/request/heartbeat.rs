//! The heartbeat that keeps a claim while its handler runs.
//!
//! While its lease lives, a holder asks a store that fails again sooner than anybody else is
//! answered, so that an outage that is shorter than the lease less one operation never passes the
//! event on.

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::log;
use crate::{
    delivery::Delivery,
    process::patient::PatientStore,
    store::{DedupStore, Settled},
    util::timer::Backoff,
};

/// Renews leases.
pub(crate) struct Heartbeat<D> {
    pub(crate) store: PatientStore<D>,
}

/// A record has no lease that could end.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl<D: DedupStore> Heartbeat<D> {
    /// Renews the lease for ever. A beat that fails is no reason to stop: the commit decides.
    pub(crate) async fn beat(&self, delivery: &Delivery, granted: Instant) -> Infallible {
        let times = &self.store.times;
        // From the grant on: the first poll may have blocked the thread for longer than a beat.
        let mut due = granted + times.heartbeat;
        let mut patience = Backoff::new(times.quick(), times.heartbeat);
        loop {
            sleep_until(due).await;
            if due.elapsed() > times.lease / 2 {
                log::heartbeat_late(delivery.subject(), due.elapsed());
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
        let renewed = self.store.renew_once(delivery).await;
        if renewed.is_some() {
            return renewed;
        }
        delivery.lease().fail();
        let end = self.store.end_of_haste(delivery)?;
        let (quick, renewal) = (self.store.times.quick(), |_| self.store.renew(delivery));
        Box::pin(self.store.insist("renew", end, quick, renewal)).await
    }

    /// The slot is no longer held: by us, because it is done, or because another holds it.
    async fn stop_renewing(&self, delivery: &Delivery) -> Infallible {
        let lease = delivery.lease();
        if self.is_settled(delivery).await {
            lease.renew(Instant::now() + FOREVER);
        } else {
            lease.lose();
            log::claim_lost_meanwhile(delivery);
        }
        pending().await
    }

    /// Whether the slot is done by this very claim: the handler committed it itself. The record does
    /// not say, because another who handled the same event wrote the same; a commit that is repeated
    /// by its owner does, and from anybody else it changes nothing. A store that is away meanwhile is
    /// asked in haste: the lease runs out by itself, and an alarm that is false cannot be taken back.
    async fn is_settled(&self, delivery: &Delivery) -> bool {
        let commit = |_| self.store.commit(delivery);
        let once = self.store.operation_end();
        let end = self.store.end_of_haste(delivery);
        let end = end.map_or(once, |end| end.max(once));
        let quick = self.store.times.quick();
        let repeated = Box::pin(self.store.insist("commit", end, quick, commit));
        repeated.await == Some(Settled::Applied)
    }
}
