//! The step `inner service`: the handler, from the granted claim to its end, whether or not anybody
//! still waits for the answer.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use http::{Response, header::CONTENT_LENGTH};
use http_body_util::Full;
use tokio::{task::unconstrained, time::Instant};

use crate::{
    delivery::arrival::Arrival,
    delivery::slot::Namespace,
    delivery::{Delivery, Trust, Via},
    reply::{self, Answer, Disposition, Rejection, ResponseBody},
    request::caller::{BoxCaller, Call, HandlerRequest},
    request::log,
    request::pipeline::Pipeline,
    store::DedupStore,
    util::panic::Panicked,
    util::timer::Alarm,
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
        let decided = match is_within_itself(&self.namespace, &arrival, caller.as_mut()) {
            true => Err(Answer::Refused(Rejection::MountedTwice)),
            false => self.decide(&arrival).await,
        };
        let (lead, granted) = match decided {
            Ok(decided) => decided,
            Err(answer) => {
                log::answered(&arrival, answer);
                self.keep_refused(&arrival, answer, caller);
                let reply = Ok(answer.reply());
                return Handled { answer, reply };
            }
        };
        self.keep_undecided(&arrival, &mut caller);
        let delivery = Delivery(arrival);
        if let Some(request) = caller.as_mut().request_mut() {
            prepare(request, &delivery);
        }
        let ended = self.drive(&delivery, granted, caller).await;
        let how = self
            .settle(&delivery, lead, permit, ended.is_success())
            .await;
        log::handled(&delivery.0, how, ended.stopped(), granted);
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
        let longest = self.times.detached;
        // Who waits for an answer has it by the deadline.
        let mut cap = Alarm::at(delivery.0.deadline + longest);
        let mut is_detached = false;
        poll_fn(|cx| {
            // The task that it was moved to polls it at once.
            if !is_detached && delivery.0.is_detached() {
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

/// Whether the request comes from another layer that handles the same event right now, and would wait
/// for that one for as long as that one waits for us. No sender can write into extensions.
fn is_within_itself<H, E>(
    namespace: &Namespace,
    arrival: &Arrival,
    caller: Pin<&mut (dyn Call<H, E> + Send)>,
) -> bool {
    let request = caller.request_mut();
    let outer = request.and_then(|it| it.extensions().get::<Delivery>());
    let is_within = outer.is_some_and(|it| *it.slot() == namespace.slot(arrival.event()));
    if is_within {
        log::mounted_twice(arrival);
    }
    is_within
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
