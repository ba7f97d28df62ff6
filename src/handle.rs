//! The steps `inner service -> commit | release`: from the granted claim to its end, whether or
//! not anybody still waits for the answer.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use http::{Response, header::CONTENT_LENGTH};
use http_body_util::Full;
use tokio::{
    task::unconstrained,
    time::{Instant, sleep_until},
};

use crate::{
    arrival::Arrival,
    caller::{BoxCaller, HandlerRequest},
    claim::Answer,
    delivery::{Delivery, Trust, Via},
    drain::Permit,
    panic::Panicked,
    pipeline::Pipeline,
    rejection::Rejection,
    reply::{self, Disposition, ResponseBody},
    store::{DedupStore, Settled},
    timer::{Alarm, Backoff, by},
    trace,
    twins::Lead,
};

impl<D: DedupStore> Pipeline<D> {
    /// (confirm) -> claim -> inner service -> commit | release -> reply
    ///
    /// Once [`Arrival::is_granted`] it must be polled to its end; whoever cannot do that moves it
    /// to a task.
    pub(crate) async fn run<H, E>(
        self: Arc<Self>,
        arrival: Arc<Arrival>,
        mut caller: BoxCaller<H, E>,
    ) -> Handled<H, E>
    where
        H: Send + 'static,
        E: Send + 'static,
    {
        let permit = self.drain.permit();
        let lead = match self.decide(&arrival).await {
            Ok(lead) => lead,
            Err(answer) => {
                trace::answered(&arrival, answer);
                self.keep_refused(&arrival, answer, caller);
                let reply = Ok(answer.reply());
                return Handled { answer, reply };
            }
        };
        let granted = Instant::now();
        self.keep_undecided(&arrival, &mut caller);
        let delivery = Delivery(arrival);
        if let Some(request) = caller.as_mut().request_mut() {
            prepare(request, &delivery);
        }
        let ended = self.drive(&delivery, granted, caller).await;
        let how = self
            .settle(&delivery, lead, permit, ended.is_success())
            .await;
        trace::handled(&delivery.0, how, ended.stopped(), granted);
        let answer = ended.answer(how);
        self.is_known(&delivery.0, answer);
        let reply = ended.reply(how);
        Handled { answer, reply }
    }

    /// Polls the handler. One that is ready at the first poll pays for no timer; the watch over a
    /// slower one is set up in the same poll that found it pending.
    async fn drive<H, E>(
        &self,
        delivery: &Delivery,
        granted: Instant,
        mut caller: BoxCaller<H, E>,
    ) -> Ended<H, E> {
        // The claim may have been on its way when the end came.
        if self.drain.is_ending() {
            return Ended::Stopped(Rejection::ShuttingDown);
        }
        let mut watch = None;
        let ended = poll_fn(|cx| {
            if let Poll::Ready(answer) = caller.as_mut().poll(cx) {
                return Poll::Ready(match answer {
                    Ok(answer) => Ended::Answered(answer),
                    Err(Panicked) => Ended::Stopped(Rejection::Panicked),
                });
            }
            // A handler that takes all of its task's budget must leave the watch some.
            let watch =
                watch.get_or_insert_with(|| Box::pin(unconstrained(self.watch(delivery, granted))));
            watch.as_mut().poll(cx).map(Ended::Stopped)
        });
        let ended = ended.await;
        let _ = caller.as_mut().end();
        ended
    }

    /// Renews the lease until the handler has to stop, and says why.
    async fn watch(&self, delivery: &Delivery, granted: Instant) -> Rejection {
        let mut heartbeat = pin!(self.heartbeat(delivery, granted));
        let mut ending = pin!(self.drain.ending());
        let mut cap = Alarm::at(granted + self.times.detached);
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
    async fn heartbeat(&self, delivery: &Delivery, granted: Instant) -> Infallible {
        let it = delivery.0.granted();
        let lease = self.times.lease;
        // From the grant on: the first poll may have blocked the thread for longer than a beat.
        let mut due = granted + self.times.heartbeat;
        loop {
            sleep_until(due).await;
            if due.elapsed() > lease / 2 {
                trace::heartbeat_late(&delivery.0, due.elapsed());
            }
            let renew = || self.store.renew(&it.slot, &it.held, lease);
            let end = || Instant::now() + self.times.store_operation;
            if let Some(Settled::Lost) = self.store_once("renew", end, renew).await {
                trace::claim_lost(delivery);
                return pending().await;
            }
            due = Instant::now() + self.times.heartbeat;
        }
    }

    /// commit | release
    async fn settle(
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
        match self.commit_once(delivery).await {
            Some(settled) => Self::committed(delivery, lead, settled),
            None => Box::pin(self.defer_commit(delivery, lead, permit)).await,
        }
    }

    async fn commit_once(&self, delivery: &Delivery) -> Option<Settled> {
        let it = delivery.0.granted();
        let commit = || self.store.commit(&it.slot, &it.held, &it.record, it.retain);
        let end = || self.patience(delivery.0.deadline);
        self.store_once("commit", end, commit).await
    }

    fn committed(delivery: &Delivery, lead: Lead, settled: Settled) -> Disposition {
        match settled {
            Settled::Applied => {
                lead.done(*delivery.record());
                Disposition::Accepted
            }
            Settled::Lost => {
                trace::claim_lost(delivery);
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
    /// they wait, and the commit is given up with the answer.
    ///
    /// [`Limits::deferred_commits`]: crate::Limits::deferred_commits
    async fn commit_later(&self, delivery: &Delivery, lead: Lead) -> Disposition {
        let now = Instant::now();
        let place = lead.handled(*delivery.record());
        let end = match place {
            Some(_) => now + self.times.detached,
            None => (now + self.times.store_budget).max(delivery.0.deadline),
        };
        let mut backoff = Backoff::new(self.times.poll / 5, self.times.store_budget);
        let mut ending = pin!(self.drain.ending());
        let mut last = false;
        while !last && Instant::now() < end {
            let next = end.min(Instant::now() + backoff.pause());
            last = by(next, ending.as_mut()).await.is_some();
            if let Some(settled) = self.commit_once(delivery).await {
                return Self::committed(delivery, lead, settled);
            }
        }
        trace::commit_given_up(delivery);
        Disposition::CommitDeferred
    }

    /// Gives the claim back, so that the next try runs at once. A release that fails costs the
    /// lease, so it is not worth more than the answer's deadline.
    async fn release(self: &Arc<Self>, delivery: &Delivery, lead: Lead, permit: Permit) {
        let it = delivery.0.granted();
        let end = || self.patience(delivery.0.deadline);
        let release = || self.store.release(&it.slot, &it.held);
        if self.store_once("release", end, release).await.is_none() {
            Box::pin(self.defer_release(delivery, lead, permit)).await;
        }
    }

    async fn defer_release(self: &Arc<Self>, delivery: &Delivery, lead: Lead, permit: Permit) {
        let (pipeline, delivery) = (Arc::clone(self), delivery.clone());
        let deadline = delivery.0.deadline;
        let deferred = tokio::spawn(async move {
            let _held = (permit, lead);
            let it = delivery.0.granted();
            let end = Instant::now() + pipeline.times.store_budget;
            let release = || pipeline.store.release(&it.slot, &it.held);
            let _ = pipeline.store("release", end, release).await;
        });
        let _ = by(deadline, deferred).await;
    }

    /// Until when a first try may take: the answer's deadline, or the time of one operation where
    /// nobody waits any more.
    fn patience(&self, deadline: Instant) -> Instant {
        match Instant::now() {
            now if now < deadline => deadline,
            now => now + self.times.store_operation,
        }
    }
}

/// Gives the handler its event. Its request has the exact bytes that arrived, unless the provider's
/// record replaced what they claim: then nothing of them reaches the handler.
fn prepare(request: &mut HandlerRequest, delivery: &Delivery) {
    let event = delivery.0.event();
    if delivery.via() == Via::Callback && delivery.trust() == Trust::Confirmed {
        let record = Bytes::copy_from_slice(event.body().as_bytes());
        if let Some(length) = request.headers_mut().get_mut(CONTENT_LENGTH) {
            *length = record.len().into();
        }
        *request.body_mut() = Full::new(record);
    }
    request.extensions_mut().insert(event.clone());
    request.extensions_mut().insert(delivery.clone());
}

/// How an event ended: the typed answer, and the reply to whoever called.
pub(crate) struct Handled<H, E> {
    pub(crate) answer: Answer,
    pub(crate) reply: Result<Response<ResponseBody<H>>, E>,
}

/// How the handler ended.
enum Ended<B, E> {
    Answered(Result<Response<B>, E>),
    Stopped(Rejection),
}

impl<B, E> Ended<B, E> {
    /// Only a 2xx counts as handled.
    fn is_success(&self) -> bool {
        matches!(self, Self::Answered(Ok(response)) if response.status().is_success())
    }

    fn stopped(&self) -> Option<Rejection> {
        match self {
            Self::Answered(_) => None,
            Self::Stopped(why) => Some(*why),
        }
    }

    /// What became of the event, for those to whom a reply says too little.
    fn answer(&self, how: Disposition) -> Answer {
        let stopped = self.stopped().map(Answer::Refused);
        stopped.unwrap_or(Answer::Received(how))
    }

    fn reply(self, how: Disposition) -> Result<Response<ResponseBody<B>>, E> {
        match self {
            Self::Answered(answer) => answer.map(|response| reply::handled(response, how)),
            Self::Stopped(why) => Ok(reply::refused(why)),
        }
    }
}
