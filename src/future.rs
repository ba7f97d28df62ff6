use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{
    delivery::arrival::Arrival,
    reply::{self, Answer, Rejection, ResponseBody},
    request::body::ReadBody,
    request::caller::BoxCaller,
    request::detach::Detachable,
    request::gate::Proof,
    request::handle::Handled,
    request::pipeline::Pipeline,
    request::{hint, log},
    store::DedupStore,
    util::timer::Alarm,
};

pin_project! {
    /// The future of a [`SunoCallbackService`](crate::SunoCallbackService).
    ///
    /// # Cancellation safety
    ///
    /// Dropped before the claim is granted, it costs the sender this try and nothing else. Dropped
    /// afterwards, the handler and its commit move to a task of the runtime on which the future was
    /// polled, and finish there.
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a Tokio runtime with its timer enabled.
    pub struct ResponseFuture<B, D, H: 'static, E: 'static> {
        #[pin]
        phase: Phase<B, D, H, E>,
    }
}

pin_project! {
    #[project = PhaseProject]
    enum Phase<B, D, H: 'static, E: 'static> {
        /// Nothing is claimed, and nothing is boxed.
        Reading {
            #[pin]
            body: ReadBody<B>,
            proof: Proof,
            began: Instant,
            alarm: Alarm,
            work: Option<Work<D, H, E>>,
        },
        /// Once the claim is granted, dropping it detaches it.
        Running { handling: Detachable<Handled<H, E>>, alarm: Alarm },
        Refused { rejection: Rejection },
        Over,
    }
}

/// What the rest of the way needs.
pub(crate) struct Work<D, H, E> {
    pub(crate) pipeline: Arc<Pipeline<D>>,
    pub(crate) caller: BoxCaller<H, E>,
}

impl<B, D, H, E> ResponseFuture<B, D, H, E> {
    pub(crate) fn refuse(
        rejection: Rejection,
        hint: impl FnOnce() -> Option<&'static str>,
    ) -> Self {
        let phase = Phase::refuse(rejection, hint);
        Self { phase }
    }

    pub(crate) fn read(work: Work<D, H, E>, proof: Proof, body: B, began: Instant) -> Self
    where
        B: Body,
    {
        let phase = Phase::Reading {
            body: ReadBody::new(body, work.pipeline.limits.body),
            alarm: Alarm::at(began + work.pipeline.times.body),
            proof,
            began,
            work: Some(work),
        };
        Self { phase }
    }
}

impl<B, D, H, E> Future for ResponseFuture<B, D, H, E>
where
    B: Body,
    D: DedupStore,
    H: Send + 'static,
    E: Send + 'static,
{
    type Output = Result<Response<ResponseBody<H>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut phase = self.project().phase;
        loop {
            let reply = match phase.as_mut().project() {
                PhaseProject::Reading { .. } => {
                    let next = ready!(phase.as_mut().poll_reading(cx));
                    phase.set(next);
                    continue;
                }
                PhaseProject::Running { handling, alarm } => {
                    ready!(poll_running(handling, alarm, cx))
                }
                PhaseProject::Refused { rejection } => Ok(reply::refused(*rejection)),
                PhaseProject::Over => return Poll::Pending,
            };
            phase.set(Phase::Over);
            return Poll::Ready(reply);
        }
    }
}

/// (confirm) -> claim -> inner service -> commit | release -> reply
fn poll_running<H, E>(
    handling: &mut Detachable<Handled<H, E>>,
    alarm: &mut Alarm,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<ResponseBody<H>>, E>> {
    // The handler first: an answer that is there at the deadline is the answer.
    if let Poll::Ready(handled) = handling.poll(cx) {
        return Poll::Ready(handled.reply);
    }
    ready!(alarm.poll(cx));
    let rejection = match handling.is_granted() {
        true => Rejection::StillRunning,
        false => Rejection::StillInFlight,
    };
    log::answered(handling.arrival(), Answer::Refused(rejection));
    Poll::Ready(Ok(reply::refused(rejection)))
}

impl<B, D, H, E> Phase<B, D, H, E> {
    fn refuse(rejection: Rejection, hint: impl FnOnce() -> Option<&'static str>) -> Self {
        log::refused(rejection, hint);
        Self::Refused { rejection }
    }
}

impl<B, D, H, E> Phase<B, D, H, E>
where
    B: Body,
    D: DedupStore,
    H: Send + 'static,
    E: Send + 'static,
{
    /// body -> event -> signature
    fn poll_reading(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self> {
        let PhaseProject::Reading {
            body,
            proof,
            began,
            alarm,
            work,
        } = self.project()
        else {
            return Poll::Pending;
        };
        let read = match body.poll(cx) {
            Poll::Ready(read) => read,
            Poll::Pending => {
                ready!(alarm.poll(cx));
                Err(Rejection::BodyTooSlow)
            }
        };
        let Some(work) = work.take() else {
            return Poll::Pending;
        };
        let body = match read {
            Ok(body) => body,
            Err(why) => return Poll::Ready(Self::refuse(why, || hint::of_reading(why))),
        };
        let credentials = &work.pipeline.gate.credentials;
        Poll::Ready(match work.pipeline.verify(proof, &body, *began) {
            Ok(arrival) => Self::run(work, Arc::new(arrival), body),
            Err(why) => Self::refuse(why, || hint::of_body(why, &body, credentials, proof)),
        })
    }

    fn run(mut work: Work<D, H, E>, arrival: Arc<Arrival>, body: Bytes) -> Self {
        if let Some(request) = work.caller.as_mut().request_mut() {
            *request.body_mut() = Full::new(body);
        }
        let alarm = Alarm::at(arrival.deadline);
        let run = work.pipeline.run(Arc::clone(&arrival), work.caller);
        let handling = Detachable::new(arrival, run);
        Self::Running { handling, alarm }
    }
}

impl<B, D, H, E> fmt::Debug for ResponseFuture<B, D, H, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
