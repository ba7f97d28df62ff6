//! The step `inner service`: the handler, from the granted claim to its end, whether or not anybody
//! still waits for the answer.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::pin,
    sync::Mutex,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, header::CONTENT_LENGTH};
use http_body_util::Full;
use tokio::{task::unconstrained, time::Instant};

use super::{
    caller::{Caller, Handler, HandlerRequest},
    heartbeat::Heartbeat,
    log,
};
use crate::{
    delivery::{Arrival, Delivery, Namespace, Trust, Via},
    process::drain::Drain,
    product::Event,
    reply::{self, Answer, Disposition, Rejection, ResponseBody},
    store::DedupStore,
    util::{panic::Panicked, timer::Alarm},
};

/// Runs handlers.
pub(crate) struct Handling<D> {
    pub(crate) heartbeat: Heartbeat<D>,
    pub(crate) drain: Drain,
    /// How long a handler may run once nobody waits for it.
    pub(crate) longest: Duration,
}

impl<D: DedupStore> Handling<D> {
    /// Polls a handler for the first time. One that is ready then pays for no timer.
    pub(crate) fn begin<S: Handler>(
        &self,
        call: &mut Call<'_, S>,
        cx: &mut Context<'_>,
    ) -> Poll<Ended<S::Body, S::Error>> {
        // The claim may have been on its way when the end came.
        match self.drain.is_ending() {
            true => Poll::Ready(Ended::Stopped(Rejection::ShuttingDown)),
            false => call.poll(cx),
        }
    }

    /// Polls a handler that was pending just now, and sets up the watch over it in the same poll.
    pub(crate) async fn drive<S: Handler>(
        &self,
        delivery: &Delivery,
        asked: Instant,
        call: &mut Call<'_, S>,
    ) -> Ended<S::Body, S::Error> {
        // A handler that takes all of its task's budget must leave the watch some.
        let mut watch = pin!(unconstrained(self.watch(delivery, asked)));
        let mut was_polled = true;
        poll_fn(|cx| {
            if !mem::take(&mut was_polled)
                && let Poll::Ready(ended) = call.poll(cx)
            {
                return Poll::Ready(ended);
            }
            let why = ready!(watch.as_mut().poll(cx));
            let _ = call.caller.end();
            Poll::Ready(Ended::Stopped(why))
        })
        .await
    }

    /// Renews the lease until the handler has to stop, and says why.
    async fn watch(&self, delivery: &Delivery, asked: Instant) -> Rejection {
        let mut heartbeat = pin!(self.heartbeat.beat(delivery, asked));
        let mut ending = pin!(self.drain.ending());
        let longest = self.longest;
        // Who waits for an answer has it by the deadline.
        let mut cap = Alarm::at(delivery.deadline() + longest);
        let mut is_detached = false;
        poll_fn(|cx| {
            // The task that it was moved to polls it at once.
            if !is_detached && delivery.is_detached() {
                is_detached = true;
                cap = Alarm::at(Instant::now() + longest);
            }
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
}

/// A handler, and what it is called with.
pub(crate) struct Call<'a, S: Handler> {
    pub(crate) inner: &'a Mutex<S>,
    pub(crate) caller: &'a mut Caller<S>,
    pub(crate) request: &'a mut Option<HandlerRequest>,
}

impl<S: Handler> Call<'_, S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended<S::Body, S::Error>> {
        let called = self.caller.poll(self.inner, self.request, cx);
        called.map(|called| match called {
            Ok(answer) => Ended::Answered(answer),
            Err(Panicked) => Ended::Stopped(Rejection::Panicked),
        })
    }
}

/// Refuses a request that comes from another layer which handles the same event right now, and would
/// wait for that one for as long as that one waits for us. No sender can write into extensions.
pub(crate) fn refuse_within_itself<V: Event>(
    slots: &Namespace,
    arrival: &Arrival<V>,
    request: Option<&HandlerRequest>,
) -> Result<(), Answer> {
    let outer = request.and_then(|it| it.extensions().get::<Delivery>());
    if outer.is_some_and(|it| *it.slot() == slots.slot(&arrival.event)) {
        log::mounted_twice(arrival.subject());
        return Err(Answer::Refused(Rejection::MountedTwice));
    }
    Ok(())
}

/// Gives the handler its event. Its request has the exact bytes that arrived, unless the provider's
/// record replaced what they claim: then nothing of them reaches the handler.
pub(crate) fn prepare<E: Event>(
    request: Option<&mut HandlerRequest>,
    event: E,
    delivery: &Delivery,
) {
    let Some(request) = request else {
        return;
    };
    if delivery.via() == Via::Callback && delivery.trust() == Trust::Confirmed {
        let record = Bytes::copy_from_slice(event.body().as_bytes());
        if let Some(length) = request.headers_mut().get_mut(CONTENT_LENGTH) {
            *length = record.len().into();
        }
        *request.body_mut() = Full::new(record);
    }
    request.extensions_mut().insert(event);
    request.extensions_mut().insert(delivery.clone());
}

/// How an event ended: the typed answer, and the reply to whoever called.
pub(crate) struct Handled<H, E> {
    pub(crate) answer: Answer,
    pub(crate) reply: Result<Response<ResponseBody<H>>, E>,
}

/// How the handler ended.
pub(crate) enum Ended<B, E> {
    Answered(Result<Response<B>, E>),
    Stopped(Rejection),
}

impl<B, E> Ended<B, E> {
    /// Only a 2xx counts as handled.
    pub(crate) fn is_success(&self) -> bool {
        matches!(self, Self::Answered(Ok(response)) if response.status().is_success())
    }

    pub(crate) fn stopped(&self) -> Option<Rejection> {
        match self {
            Self::Answered(_) => None,
            Self::Stopped(why) => Some(*why),
        }
    }

    /// What became of the event, for those to whom a reply says too little.
    pub(crate) fn answer(&self, how: Disposition) -> Answer {
        let stopped = self.stopped().map(Answer::Refused);
        stopped.unwrap_or(Answer::Received(how))
    }

    pub(crate) fn reply(self, how: Disposition) -> Result<Response<ResponseBody<B>>, E> {
        match self {
            Self::Answered(answer) => answer.map(|response| reply::handled(response, how)),
            Self::Stopped(why) => Ok(reply::refused(why)),
        }
    }
}
