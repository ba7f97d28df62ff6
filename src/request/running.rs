//! An event whose claim is held, from the call of its handler to the reply.

use std::{
    future::{Future, poll_fn},
    task::{Context, Poll},
};

use tokio::time::Instant;

use super::{
    Handled, Line,
    caller::{Caller, Handler, HandlerRequest},
    handle::{Call, Ended},
    log,
    mounted::Inside,
    settle::Settling,
    stages::{self, Begun, Granted},
};
use crate::{
    delivery::Delivery,
    process::twins::Leader,
    product::Product,
    reply::Disposition,
    store::{DedupStore, Settled},
};

/// What is needed until the reply. It must come to its end, whether or not anybody waits for it.
pub(super) struct Running<S: Handler, D, P: Product> {
    // Dropped in this order where a runtime ends: no twin may start, and no drain may end, while
    // anything of the handler is left.
    pub(super) caller: Caller<S>,
    pub(super) leader: Leader,
    pub(super) delivery: Delivery,
    /// When the claim was asked for.
    pub(super) asked: Instant,
    /// The event, where it matters what becomes of it.
    pub(super) kept: Option<P::Event>,
    pub(super) inside: Inside<S, D, P>,
}

/// How far a run has come before it had to wait.
enum Step<B, E> {
    /// The handler was not polled yet.
    Claimed,
    /// It is pending.
    Called,
    /// It was ready at its first poll.
    Ended(Ended<B, E>),
}

impl<S: Handler, D: DedupStore, P: Product> Running<S, D, P> {
    /// inner service -> commit | release -> reply, as far as nothing has to wait. What is left then
    /// goes into a box.
    pub(super) fn at_once(
        mut self,
        request: &mut Option<HandlerRequest>,
        cx: &mut Context<'_>,
    ) -> Begun<Handled<S::Body, S::Error>> {
        let span = log::span(&self.delivery);
        let step = {
            let _entered = log::enter(&span);
            match self.begin(request, cx) {
                Poll::Pending => Step::Called,
                Poll::Ready(ended) => match self.commit_at_once(&ended, cx) {
                    Some(settled) => return Begun::Over(self.settled(ended, settled)),
                    None => Step::Ended(ended),
                },
            }
        };
        let delivery = self.delivery.clone();
        let rest = log::within(span, self.finish(request.take(), step));
        Begun::Granted(Granted::new(rest, delivery))
    }

    /// The same from any step on, for as long as it takes.
    async fn finish(
        mut self,
        mut request: Option<HandlerRequest>,
        step: Step<S::Body, S::Error>,
    ) -> Handled<S::Body, S::Error> {
        let first = match step {
            Step::Claimed => poll_fn(|cx| Poll::Ready(self.begin(&mut request, cx))).await,
            Step::Called => Poll::Pending,
            Step::Ended(ended) => Poll::Ready(ended),
        };
        let line = &self.inside.line;
        let (delivery, asked) = (&self.delivery, self.asked);
        let (ended, now) = match first {
            Poll::Ready(ended) => (ended, Some(asked)),
            Poll::Pending => {
                let mut call = Call {
                    inner: &self.inside.inner,
                    caller: &mut self.caller,
                    request: &mut request,
                };
                (line.handling.drive(delivery, asked, &mut call).await, None)
            }
        };
        let (permit, is_success) = (self.inside.hand_on(), ended.is_success());
        let line = &self.inside.line;
        let settled = line
            .settling
            .settle(delivery, self.leader, permit, is_success, now);
        let how = settled.await;
        line.reply(delivery, asked, self.kept, ended, how)
    }

    /// The first poll of the handler. Once it has ended, nothing of it is left.
    fn begin(
        &mut self,
        request: &mut Option<HandlerRequest>,
        cx: &mut Context<'_>,
    ) -> Poll<Ended<S::Body, S::Error>> {
        let mut call = Call {
            inner: &self.inside.inner,
            caller: &mut self.caller,
            request,
        };
        self.inside.line.handling.begin(&mut call, cx)
    }

    /// The commit of a success, where the store takes it at once.
    fn commit_at_once(
        &self,
        ended: &Ended<S::Body, S::Error>,
        cx: &mut Context<'_>,
    ) -> Option<Settled> {
        let settling = &self.inside.line.settling;
        match ended.is_success() {
            true => settling.commit_at_once(&self.delivery, self.asked, cx),
            false => None,
        }
    }

    fn settled(
        self,
        ended: Ended<S::Body, S::Error>,
        settled: Settled,
    ) -> Handled<S::Body, S::Error> {
        let (line, delivery) = (&self.inside.line, &self.delivery);
        let how = Settling::<D>::committed(delivery, self.leader, settled);
        line.reply(delivery, self.asked, self.kept, ended, how)
    }
}

/// What was claimed where the claim had to wait, and the request that it is for.
pub(super) struct Ours<S: Handler, D, P: Product> {
    pub(super) running: Running<S, D, P>,
    pub(super) request: Option<HandlerRequest>,
}

impl<S: Handler, D: DedupStore, P: Product> Ours<S, D, P> {
    /// inner service -> commit | release -> reply
    pub(super) fn handle(self) -> impl Future<Output = Handled<S::Body, S::Error>> {
        let span = log::span(&self.running.delivery);
        log::within(span, self.running.finish(self.request, Step::Claimed))
    }
}

impl<S: Handler, D, P: Product> stages::Claim for Ours<S, D, P> {
    fn delivery(&self) -> &Delivery {
        &self.running.delivery
    }
}

impl<D, P: Product> Line<D, P> {
    fn reply<B, E>(
        &self,
        delivery: &Delivery,
        asked: Instant,
        kept: Option<P::Event>,
        ended: Ended<B, E>,
        how: Disposition,
    ) -> Handled<B, E> {
        log::handled(delivery.subject(), how, ended.stopped(), asked);
        let answer = ended.answer(how);
        if let (Some(keeping), Some(event)) = (&self.keeping, kept) {
            keeping.learn(&event, answer);
        }
        let reply = ended.reply(how);
        Handled { answer, reply }
    }
}
