//! The step `commit | release`: what becomes of a claim whose handler has ended.

use std::{pin::pin, sync::Arc};

use tokio::time::{Instant, sleep_until};

use crate::{
    delivery::Delivery,
    process::drain::Permit,
    process::twins::Lead,
    reply::Disposition,
    request::log,
    request::pipeline::Pipeline,
    store::{DedupStore, Settled},
    util::timer::{Backoff, by},
};

impl<D: DedupStore> Pipeline<D> {
    /// commit | release
    pub(crate) async fn settle(
        self: &Arc<Self>,
        delivery: &Delivery,
        lead: Lead,
        permit: Permit,
        success: bool,
    ) -> Disposition {
        if success {
            return self.commit(delivery, lead, permit).await;
        }
        self.release(delivery, lead, permit).await;
        Disposition::HandlerFailed
    }

    /// The handler has succeeded: whatever the store does now, the answer is 200.
    async fn commit(
        self: &Arc<Self>,
        delivery: &Delivery,
        lead: Lead,
        permit: Permit,
    ) -> Disposition {
        // A store that is away just now is asked in haste from the first try on.
        let is_away = delivery.0.granted().lease.is_failing();
        if !is_away || self.end_of_haste(delivery).is_none() {
            let end = || self.first_end(delivery);
            if let Some(settled) = self.commit_once(delivery, end).await {
                return Self::committed(delivery, lead, settled);
            }
        }
        Box::pin(self.defer_commit(delivery, lead, permit)).await
    }

    async fn commit_once(&self, delivery: &Delivery, end: impl Fn() -> Instant) -> Option<Settled> {
        let it = delivery.0.granted();
        let commit = || self.store.commit(&it.slot, &it.held, &it.record, it.retain);
        self.store_once("commit", end, commit).await
    }

    fn committed(delivery: &Delivery, lead: Lead, settled: Settled) -> Disposition {
        match settled {
            Settled::Applied => {
                lead.done(*delivery.record());
                Disposition::Accepted
            }
            Settled::Lost => {
                log::claim_lost(delivery);
                Disposition::ClaimLost
            }
        }
    }

    /// Leaves the commit to a task, and waits for it as long as the answer may.
    async fn defer_commit(
        self: &Arc<Self>,
        delivery: &Delivery,
        lead: Lead,
        permit: Permit,
    ) -> Disposition {
        let (pipeline, delivery) = (Arc::clone(self), delivery.clone());
        let deadline = delivery.0.deadline;
        let deferred = tokio::spawn(async move {
            let _permit = permit;
            pipeline.commit_later(&delivery, lead).await
        });
        let settled = by(deadline, deferred).await.and_then(Result::ok);
        settled.unwrap_or(Disposition::CommitDeferred)
    }

    /// Repeats a commit until the store takes it, for as long as a detached handler may run. Callers
    /// in this process are answered from the record meanwhile. Above [`Limits::deferred_commits`]
    /// they wait, and the commit is given up with the answer and the lease.
    ///
    /// [`Limits::deferred_commits`]: crate::Limits::deferred_commits
    async fn commit_later(&self, delivery: &Delivery, lead: Lead) -> Disposition {
        let place = lead.handled(*delivery.record());
        let end = self.end_of_commit(delivery, place.is_some());
        let mut pace = Pace::new(self);
        let mut ending = pin!(self.drain.ending());
        let mut last = false;
        while !last && Instant::now() < end {
            let pause = match self.hurry(delivery).await {
                Some(Told::Committed(settled)) => return Self::committed(delivery, lead, settled),
                Some(Told::Renewed(Settled::Applied)) => pace.with_lease.pause(),
                // An earlier commit may have been applied unheard. The next one tells.
                Some(Told::Renewed(Settled::Lost)) | None => pace.without_lease.pause(),
            };
            let next = end.min(Instant::now() + pause);
            last = by(next, ending.as_mut()).await.is_some();
            let end = || self.operation_end();
            if let Some(settled) = self.commit_once(delivery, end).await {
                return Self::committed(delivery, lead, settled);
            }
        }
        log::commit_given_up(delivery);
        Disposition::CommitDeferred
    }

    fn end_of_commit(&self, delivery: &Delivery, may_be_deferred: bool) -> Instant {
        let now = Instant::now();
        let lease = delivery.0.leased_until().unwrap_or(now);
        let end = match may_be_deferred {
            true => now + self.times.detached,
            false => now,
        };
        end.max(lease).max(delivery.0.deadline)
    }

    /// Asks the store more often than anybody else does, to renew and to commit in turn. With a lease
    /// that was just renewed, or one that has ended long since, there is time.
    async fn hurry(&self, delivery: &Delivery) -> Option<Told> {
        let end = self.end_of_haste(delivery)?;
        let it = delivery.0.granted();
        // What has failed last comes last.
        let first = usize::from(it.lease.is_failing());
        let ask = |n: usize| async move {
            match (first + n) % 2 {
                0 => self.renewal(delivery).await.map(Told::Renewed),
                _ => {
                    let commit = self.store.commit(&it.slot, &it.held, &it.record, it.retain);
                    commit.await.map(Told::Committed)
                }
            }
        };
        let pause = self.times.quick() / 2;
        self.insist("renew or commit", end, pause, ask).await
    }

    /// Gives the claim back, so that the next try runs at once. A release that fails costs the
    /// lease, so it is not worth more than the answer's deadline.
    async fn release(self: &Arc<Self>, delivery: &Delivery, lead: Lead, permit: Permit) {
        let end = || self.first_end(delivery);
        if self.release_once(delivery, end).await.is_none() {
            Box::pin(self.defer_release(delivery, lead, permit)).await;
        }
    }

    async fn release_once(
        &self,
        delivery: &Delivery,
        end: impl Fn() -> Instant,
    ) -> Option<Settled> {
        let it = delivery.0.granted();
        let release = || self.store.release(&it.slot, &it.held);
        self.store_once("release", end, release).await
    }

    /// Leaves the release to a task, which repeats it while there is a lease to give back.
    async fn defer_release(self: &Arc<Self>, delivery: &Delivery, lead: Lead, permit: Permit) {
        let (pipeline, delivery) = (Arc::clone(self), delivery.clone());
        let deadline = delivery.0.deadline;
        let deferred = tokio::spawn(async move {
            let _held = (permit, lead);
            while let Some(end) = delivery.0.leased_until().filter(|_| delivery.0.is_leased()) {
                sleep_until(end.min(Instant::now() + pipeline.times.quick())).await;
                let released = pipeline.release_once(&delivery, || end).await;
                if released.is_some() {
                    return;
                }
            }
        });
        let _ = by(deadline, deferred).await;
    }

    /// Until when a first try may take: the answer's deadline, or the time of one operation where
    /// nobody waits any more.
    fn first_end(&self, delivery: &Delivery) -> Instant {
        match Instant::now() {
            now if now < delivery.0.deadline => delivery.0.deadline,
            now => now + self.times.store_operation,
        }
    }

    fn operation_end(&self) -> Instant {
        Instant::now() + self.times.store_operation
    }
}

/// What a store said that was asked in haste.
enum Told {
    Renewed(Settled),
    Committed(Settled),
}

/// The pauses between the tries of a commit that has time.
struct Pace {
    with_lease: Backoff,
    without_lease: Backoff,
}

impl Pace {
    fn new<D>(pipeline: &Pipeline<D>) -> Self {
        let times = &pipeline.times;
        let quick = times.quick();
        Self {
            with_lease: Backoff::new(quick, times.heartbeat),
            without_lease: Backoff::new(quick, times.lease - times.store_operation),
        }
    }
}
