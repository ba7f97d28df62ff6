use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;

use crate::{
    body::ReadBody,
    caller::Caller,
    claim::Answer,
    detach::Detachable,
    gate::Proof,
    pipeline::{Arrival, Pipeline},
    rejection::Rejection,
    reply::{self, ResponseBody},
    store::DedupStore,
    timer::Alarm,
    trace,
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
    pub struct ResponseFuture<B, S, D, H: 'static, E: 'static> {
        #[pin]
        phase: Phase<B, S, D, H, E>,
    }
}

pin_project! {
    #[project = PhaseProject]
    enum Phase<B, S, D, H: 'static, E: 'static> {
        /// Nothing is claimed, and nothing is boxed.
        Reading {
            #[pin]
            body: ReadBody<B>,
            proof: Proof,
            began: Instant,
            alarm: Alarm,
            work: Option<Work<S, D>>,
        },
        /// Once the claim is granted, dropping it detaches it.
        Running { handling: Detachable<Result<Response<ResponseBody<H>>, E>>, alarm: Alarm },
        Refused { rejection: Rejection },
        Over,
    }
}

/// What the handler will need.
pub(crate) struct Work<S, D> {
    pub(crate) pipeline: Arc<Pipeline<D>>,
    pub(crate) inner: S,
    pub(crate) head: Parts,
}

impl<B, S, D, H, E> ResponseFuture<B, S, D, H, E> {
    pub(crate) fn refuse(rejection: Rejection) -> Self {
        let phase = Phase::refuse(rejection);
        Self { phase }
    }

    pub(crate) fn read(work: Work<S, D>, proof: Proof, body: B, began: Instant) -> Self
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

impl<B, S, D, H, E> Future for ResponseFuture<B, S, D, H, E>
where
    B: Body,
    S: Service<Request<Full<Bytes>>, Response = Response<H>, Error = E> + Send + 'static,
    S::Future: Send + 'static,
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
    handling: &mut Detachable<Result<Response<ResponseBody<H>>, E>>,
    alarm: &mut Alarm,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<ResponseBody<H>>, E>> {
    // The handler first: an answer that is there at the deadline is the answer.
    if let Poll::Ready(reply) = handling.poll(cx) {
        return Poll::Ready(reply);
    }
    ready!(alarm.poll(cx));
    let rejection = match handling.is_granted() {
        true => Rejection::StillRunning,
        false => Rejection::StillInFlight,
    };
    trace::answered(handling.arrival(), Answer::Refused(rejection));
    Poll::Ready(Ok(reply::refused(rejection)))
}

impl<B, S, D, H, E> Phase<B, S, D, H, E> {
    fn refuse(rejection: Rejection) -> Self {
        trace::refused(rejection);
        Self::Refused { rejection }
    }
}

impl<B, S, D, H, E> Phase<B, S, D, H, E>
where
    B: Body,
    S: Service<Request<Full<Bytes>>, Response = Response<H>, Error = E> + Send + 'static,
    S::Future: Send + 'static,
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
        let verified = read.and_then(|body| {
            let arrival = work.pipeline.verify(proof, &body, *began)?;
            Ok((Arc::new(arrival), body))
        });
        Poll::Ready(match verified {
            Ok((arrival, body)) => Self::run(work, arrival, body),
            Err(rejection) => Self::refuse(rejection),
        })
    }

    fn run(work: Work<S, D>, arrival: Arc<Arrival>, body: Bytes) -> Self {
        let request = Request::from_parts(work.head, Full::new(body));
        let alarm = Alarm::at(arrival.deadline);
        // In a box of its own: a future that took it by value would hold it twice.
        let caller = Box::pin(Caller::new(work.inner, request));
        let run = work.pipeline.run(Arc::clone(&arrival), caller);
        let handling = Detachable::new(arrival, run);
        Self::Running { handling, alarm }
    }
}

impl<B, S, D, H, E> fmt::Debug for ResponseFuture<B, S, D, H, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
