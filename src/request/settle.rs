//! The step `commit | release`: what becomes of a claim whose handler has ended.

use std::{pin::pin, task::Context};

use tokio::time::{Instant, sleep_until};

use super::log;
use crate::{
    config::Times,
    delivery::Delivery,
    process::{
        drain::{Drain, Permit},
        patient::PatientStore,
        twins::Leader,
    },
    reply::Disposition,
    store::{DedupStore, Settled},
    util::{
        clock::{self, first_at},
        timer::{Backoff, by},
    },
};

/// Commits or releases claims.
pub(crate) struct Settling<D> {
    pub(crate) store: PatientStore<D>,
    pub(crate) drain: Drain,
}

impl<D: DedupStore> Settling<D> {
    /// commit | release
    ///
    /// What is committed is remembered from `now` on, where the handler was ready at its first poll,
    /// and so from when its header pair was fresh at the earliest.
    pub(crate) async fn settle(
        &self,
        delivery: &Delivery,
        leader: Leader,
        permit: Permit,
        success: bool,
        now: Option<Instant>,
    ) -> Disposition {
        if success {
            return self.commit(delivery, leader, permit, now).await;
        }
        self.release(delivery, leader, permit).await;
        Disposition::HandlerFailed
    }

    /// The handler has succeeded: whatever the store does now, the answer is 200.
    async fn commit(
        &self,
        delivery: &Delivery,
        leader: Leader,
        permit: Permit,
        now: Option<Instant>,
    ) -> Disposition {
        // A store that is away just now is asked in haste from the first try on.
        let is_away = delivery.lease().is_failing();
        if !is_away || self.store.end_of_haste(delivery).is_none() {
            let end = || self.first_end(delivery);
            let committed = first_at(now, self.store.commit_once(delivery, end));
            if let Some(settled) = committed.await {
                return Self::committed(delivery, leader, settled);
            }
        }
        Box::pin(self.defer_commit(delivery, leader, permit)).await
    }

    /// The commit of a handler that was ready at its first poll, where the store answers in this poll
    /// too. `None`: whatever became of it, [`settle`](Self::settle) begins anew.
    pub(crate) fn commit_at_once(
        &self,
        delivery: &Delivery,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Option<Settled> {
        clock::at(Some(now), || self.store.commit_at_once(delivery, cx))
    }

    pub(crate) fn committed(delivery: &Delivery, leader: Leader, settled: Settled) -> Disposition {
        match settled {
            Settled::Applied => {
                leader.done(*delivery.record());
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
        &self,
        delivery: &Delivery,
        leader: Leader,
        permit: Permit,
    ) -> Disposition {
        let (this, delivery) = (self.clone(), delivery.clone());
        let deadline = delivery.deadline();
        let deferred = tokio::spawn(log::within_this(async move {
            let _permit = permit;
            this.commit_later(&delivery, leader).await
        }));
        let settled = by(deadline, deferred).await.and_then(Result::ok);
        settled.unwrap_or(Disposition::CommitDeferred)
    }

    /// Repeats a commit until the store takes it, for as long as a detached handler may run. Callers
    /// in this process are answered from the record meanwhile. Above [`Limits::deferred_commits`]
    /// they wait, and the commit is given up with the answer and the lease.
    ///
    /// [`Limits::deferred_commits`]: crate::Limits::deferred_commits
    async fn commit_later(&self, delivery: &Delivery, leader: Leader) -> Disposition {
        let quota = leader.handled(*delivery.record());
        let end = self.end_of_commit(delivery, quota.is_some());
        let mut pace = Pace::new(&self.store.times);
        let mut ending = pin!(self.drain.ending());
        let mut last = false;
        while !last && Instant::now() < end {
            let pause = match self.hurry(delivery).await {
                Some(Told::Committed(settled)) => {
                    return Self::committed(delivery, leader, settled);
                }
                Some(Told::Renewed(Settled::Applied)) => pace.with_lease.pause(),
                // An earlier commit may have been applied unheard. The next one tells.
                Some(Told::Renewed(Settled::Lost)) | None => pace.without_lease.pause(),
            };
            let next = end.min(Instant::now() + pause);
            last = by(next, ending.as_mut()).await.is_some();
            let end = || self.store.operation_end();
            if let Some(settled) = self.store.commit_once(delivery, end).await {
                return Self::committed(delivery, leader, settled);
            }
        }
        log::commit_given_up(delivery);
        if self.drain.is_ending() {
            self.drain.count_given_up();
        }
        Disposition::CommitDeferred
    }

    fn end_of_commit(&self, delivery: &Delivery, may_be_deferred: bool) -> Instant {
        let now = Instant::now();
        let lease = delivery.lease().until().unwrap_or(now);
        let end = match may_be_deferred {
            true => now + self.store.times.detached,
            false => now,
        };
        end.max(lease).max(delivery.deadline())
    }

    /// Asks the store more often than anybody else does, to renew and to commit in turn. With a lease
    /// that was just renewed, or one that has ended long since, there is time.
    async fn hurry(&self, delivery: &Delivery) -> Option<Told> {
        let end = self.store.end_of_haste(delivery)?;
        // What has failed last comes last.
        let first = usize::from(delivery.lease().is_failing());
        let ask = |n: usize| async move {
            match (first + n) % 2 {
                0 => self.store.renew(delivery).await.map(Told::Renewed),
                _ => self.store.commit(delivery).await.map(Told::Committed),
            }
        };
        let pause = self.store.times.quick() / 2;
        self.store.insist("renew or commit", end, pause, ask).await
    }

    /// Gives the claim back, so that the next try runs at once. A release that fails costs the
    /// lease, so it is not worth more than the answer's deadline.
    async fn release(&self, delivery: &Delivery, leader: Leader, permit: Permit) {
        let end = || self.first_end(delivery);
        if self.store.release_once(delivery, end).await.is_none() {
            Box::pin(self.defer_release(delivery, leader, permit)).await;
        }
    }

    /// Leaves the release to a task, which repeats it while there is a lease to give back.
    async fn defer_release(&self, delivery: &Delivery, leader: Leader, permit: Permit) {
        let (this, delivery) = (self.clone(), delivery.clone());
        let deadline = delivery.deadline();
        let deferred = tokio::spawn(log::within_this(async move {
            let _held = (permit, leader);
            while let Some(end) = delivery
                .lease()
                .until()
                .filter(|_| delivery.lease().is_alive())
            {
                sleep_until(end.min(Instant::now() + this.store.times.quick())).await;
                let released = this.store.release_once(&delivery, || end).await;
                if released.is_some() {
                    return;
                }
            }
        }));
        let _ = by(deadline, deferred).await;
    }

    /// Until when a first try may take: the answer's deadline, or the time of one operation where
    /// nobody waits any more.
    fn first_end(&self, delivery: &Delivery) -> Instant {
        match clock::look() {
            now if now < delivery.deadline() => delivery.deadline(),
            now => now + self.store.times.store_operation,
        }
    }
}

impl<D> Clone for Settling<D> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            drain: self.drain.clone(),
        }
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
    fn new(times: &Times) -> Self {
        let quick = times.quick();
        Self {
            with_lease: Backoff::new(quick, times.heartbeat),
            without_lease: Backoff::new(quick, times.lease - times.store_operation),
        }
    }
}
