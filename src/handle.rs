//! The steps `inner service -> commit | release`: from the granted claim to its end, whether or
//! not anybody still waits for the answer.

use std::{
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::{
    task::unconstrained,
    time::{Instant, sleep_until},
};
use tower::Service;

use crate::{
    caller::Caller,
    claim::Grant,
    panic::Panicked,
    pipeline::Pipeline,
    rejection::Rejection,
    reply::{self, Disposition, ResponseBody},
    store::{DedupStore, Settled},
    timer::{Alarm, Backoff, by},
    trace,
};

type HandlerRequest = Request<Full<Bytes>>;

impl<D: DedupStore> Pipeline<D> {
    /// Runs the handler under its claim and settles the claim.
    ///
    /// Must be polled to its end; whoever cannot do that moves it to a task.
    pub(crate) async fn handle<S, B>(
        self: Arc<Self>,
        grant: Grant,
        inner: S,
        mut request: HandlerRequest,
    ) -> Result<Response<ResponseBody<B>>, S::Error>
    where
        S: Service<HandlerRequest, Response = Response<B>>,
    {
        let extensions = request.extensions_mut();
        extensions.insert(grant.arrival.event.clone());
        extensions.insert(grant.delivery.clone());
        match self.drive(&grant, Caller::new(inner, request)).await {
            Ended::Answered(Ok(response)) if response.status().is_success() => {
                let how = self.commit(grant).await;
                Ok(reply::handled(response, how))
            }
            Ended::Answered(answer) => {
                self.release(grant, Disposition::HandlerFailed.as_str())
                    .await;
                answer.map(reply::failed)
            }
            Ended::Stopped(why) => {
                self.release(grant, why.as_str()).await;
                Ok(reply::refused(why))
            }
        }
    }

    /// Polls the handler. One that is ready at the first poll pays for no timer; the watch over a
    /// slower one is set up in the same poll that found it pending.
    async fn drive<S, B>(
        &self,
        grant: &Grant,
        caller: Caller<S, HandlerRequest>,
    ) -> Ended<Result<Response<B>, S::Error>>
    where
        S: Service<HandlerRequest, Response = Response<B>>,
    {
        // The claim may have been on its way when the end came.
        if self.drain.is_ending() {
            return Ended::Stopped(Rejection::ShuttingDown);
        }
        let mut caller = pin!(caller);
        let mut watch = None;
        let stopped = poll_fn(|cx| {
            if let Poll::Ready(answer) = caller.as_mut().poll(cx) {
                return Poll::Ready(Ok(answer));
            }
            // A handler that takes all of its task's budget must leave the watch some.
            let watch = watch.get_or_insert_with(|| Box::pin(unconstrained(self.watch(grant))));
            watch.as_mut().poll(cx).map(Err)
        });
        match stopped.await {
            Ok(Ok(answer)) => Ended::Answered(answer),
            Ok(Err(Panicked)) => Ended::Stopped(Rejection::Panicked),
            Err(why) => {
                let _ = caller.as_mut().end();
                Ended::Stopped(why)
            }
        }
    }

    /// Renews the lease until the handler has to stop, and says why.
    async fn watch(&self, grant: &Grant) -> Rejection {
        let mut heartbeat = pin!(self.heartbeat(grant));
        let mut ending = pin!(self.drain.ending());
        let mut cap = Alarm::at(grant.granted + self.times.detached);
        poll_fn(|cx| {
            if ending.as_mut().poll(cx).is_ready() {
                self.drain.count_aborted();
                return Poll::Ready(Rejection::Aborted);
            }
            if cap.poll(cx).is_ready() {
                return Poll::Ready(Rejection::RanTooLong);
            }
            heartbeat.as_mut().poll(cx).map(|never| match never {})
        })
        .await
    }

    /// One try a beat. A beat that fails is no reason to stop: the commit decides.
    async fn heartbeat(&self, grant: &Grant) -> std::convert::Infallible {
        let lease = self.times.lease;
        // From the grant on: the first poll may have blocked the thread for longer than a beat.
        let mut due = grant.granted + self.times.heartbeat;
        loop {
            sleep_until(due).await;
            if due.elapsed() > lease / 2 {
                trace::heartbeat_late(&grant.arrival, due.elapsed());
            }
            let renew = self
                .store
                .renew(&grant.delivery.slot, &grant.delivery.held, lease);
            let end = Instant::now() + self.times.store_operation;
            if let Some(Settled::Lost) = self.store_once("renew", end, renew).await {
                trace::claim_lost(&grant.arrival, &grant.delivery);
                return pending().await;
            }
            due = Instant::now() + self.times.heartbeat;
        }
    }

    /// The handler has succeeded: whatever the store does now, the answer is 200.
    async fn commit(self: Arc<Self>, grant: Grant) -> Disposition {
        let handled = grant.granted.elapsed();
        let delivery = &grant.delivery;
        let commit = self.store.commit(
            &delivery.slot,
            &delivery.held,
            &delivery.record,
            delivery.retain,
        );
        let arrival = grant.arrival.clone();
        let end = self.patience(arrival.deadline);
        let how = match self.store_once("commit", end, commit).await {
            Some(settled) => Self::committed(grant, settled),
            None => {
                let deferred = tokio::spawn(self.commit_later(grant));
                let settled = by(arrival.deadline, deferred).await;
                settled
                    .and_then(Result::ok)
                    .unwrap_or(Disposition::CommitDeferred)
            }
        };
        trace::handled(&arrival, how.as_str(), handled);
        how
    }

    fn committed(grant: Grant, settled: Settled) -> Disposition {
        match settled {
            Settled::Applied => {
                grant.lead.done(grant.delivery.record);
                Disposition::Accepted
            }
            Settled::Lost => {
                trace::claim_lost(&grant.arrival, &grant.delivery);
                Disposition::ClaimLost
            }
        }
    }

    /// Repeats a commit until the store takes it, for as long as a detached handler may run. Callers
    /// in this process are answered from the record meanwhile.
    async fn commit_later(self: Arc<Self>, grant: Grant) -> Disposition {
        let delivery = &grant.delivery;
        let Some(_place) = grant.lead.handled(delivery.record) else {
            trace::commit_given_up(&grant.arrival);
            return Disposition::CommitDeferred;
        };
        let end = Instant::now() + self.times.detached;
        let mut backoff = Backoff::new(self.times.poll / 5, self.times.store_budget);
        let mut ending = pin!(self.drain.ending());
        while Instant::now() < end {
            let pause = end.min(Instant::now() + backoff.pause());
            let last = by(pause, ending.as_mut()).await.is_some();
            let commit = self.store.commit(
                &delivery.slot,
                &delivery.held,
                &delivery.record,
                delivery.retain,
            );
            let patience = Instant::now() + self.times.store_operation;
            if let Some(settled) = self.store_once("commit", patience, commit).await {
                return Self::committed(grant, settled);
            }
            if last {
                break;
            }
        }
        trace::commit_given_up(&grant.arrival);
        Disposition::CommitDeferred
    }

    /// Gives the claim back, so that the next try runs at once; a release that fails costs the
    /// lease, so it is not worth the answer's deadline.
    async fn release(self: Arc<Self>, grant: Grant, why: &'static str) {
        trace::handled(&grant.arrival, why, grant.granted.elapsed());
        let deadline = grant.arrival.deadline;
        let end = self.patience(deadline);
        let release = self
            .store
            .release(&grant.delivery.slot, &grant.delivery.held);
        if self.store_once("release", end, release).await.is_none() {
            let released = tokio::spawn(self.release_later(grant));
            let _ = by(deadline, released).await;
        }
    }

    async fn release_later(self: Arc<Self>, grant: Grant) {
        let end = Instant::now() + self.times.store_budget;
        let release = || {
            self.store
                .release(&grant.delivery.slot, &grant.delivery.held)
        };
        let _ = self.store("release", end, release).await;
    }

    /// Until when a first try may take: the answer's deadline, or the time of one operation where
    /// nobody waits any more.
    fn patience(&self, deadline: Instant) -> Instant {
        match deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => deadline,
            _ => Instant::now() + self.times.store_operation,
        }
    }
}

/// How the handler ended.
enum Ended<A> {
    Answered(A),
    Stopped(Rejection),
}
