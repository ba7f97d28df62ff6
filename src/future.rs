use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_LENGTH, request::Parts};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;

use crate::{
    body::ReadBody,
    claim::{Answer, Grant},
    delivery::Trust,
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
        /// Nothing is held: dropping it is safe.
        Deciding {
            decision: Pin<Box<dyn Future<Output = Result<Grant, Answer>> + Send>>,
            body: Bytes,
            work: Option<Work<S, D>>,
        },
        /// The claim is held: dropping it detaches it.
        Running {
            handling: Detachable<Result<Response<ResponseBody<H>>, E>>,
            arrival: Arrival,
            alarm: Alarm,
        },
        Answered { answer: Answer },
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
            let next = match phase.as_mut().project() {
                PhaseProject::Reading { .. } => ready!(phase.as_mut().poll_reading(cx)),
                PhaseProject::Deciding { .. } => ready!(phase.as_mut().poll_deciding(cx)),
                PhaseProject::Running { .. } => {
                    let reply = ready!(phase.as_mut().poll_running(cx));
                    phase.set(Phase::Over);
                    return Poll::Ready(reply);
                }
                PhaseProject::Answered { answer } => {
                    let reply = match *answer {
                        Answer::Received(disposition) => reply::received(disposition),
                        Answer::Refused(rejection) => reply::refused(rejection),
                    };
                    phase.set(Phase::Over);
                    return Poll::Ready(Ok(reply));
                }
                PhaseProject::Over => return Poll::Pending,
            };
            phase.set(next);
        }
    }
}

impl<B, S, D, H, E> Phase<B, S, D, H, E> {
    fn refuse(rejection: Rejection) -> Self {
        trace::refused(rejection);
        let answer = Answer::Refused(rejection);
        Self::Answered { answer }
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
            Ok((arrival, body))
        });
        Poll::Ready(match verified {
            Ok((arrival, body)) => Self::Deciding {
                decision: Box::pin(Arc::clone(&work.pipeline).decide(arrival)),
                body,
                work: Some(work),
            },
            Err(rejection) => Self::refuse(rejection),
        })
    }

    /// (confirm) -> claim
    fn poll_deciding(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self> {
        let PhaseProject::Deciding {
            decision,
            body,
            work,
        } = self.project()
        else {
            return Poll::Pending;
        };
        let grant = match ready!(decision.as_mut().poll(cx)) {
            Ok(grant) => grant,
            Err(answer) => return Poll::Ready(Self::Answered { answer }),
        };
        let Some(work) = work.take() else {
            return Poll::Pending;
        };
        let arrival = grant.arrival.clone();
        let request = handler_request(work.head, &grant, std::mem::take(body));
        Poll::Ready(Self::Running {
            handling: Detachable::new(work.pipeline.handle(grant, work.inner, request)),
            alarm: Alarm::at(arrival.deadline),
            arrival,
        })
    }

    /// inner service -> commit | release -> reply
    fn poll_running(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody<H>>, E>> {
        let PhaseProject::Running {
            handling,
            arrival,
            alarm,
        } = self.project()
        else {
            return Poll::Pending;
        };
        // The handler first: an answer that is there at the deadline is the answer.
        if let Poll::Ready(reply) = handling.poll(cx) {
            return Poll::Ready(reply);
        }
        ready!(alarm.poll(cx));
        let answer = Answer::Refused(Rejection::StillRunning);
        trace::answered(arrival, answer);
        Poll::Ready(Ok(reply::refused(Rejection::StillRunning)))
    }
}

/// The exact bytes that arrived, unless the provider's record replaced what they claim: then nothing
/// of them reaches the handler.
fn handler_request(mut head: Parts, grant: &Grant, body: Bytes) -> Request<Full<Bytes>> {
    let arrival = &grant.arrival;
    if arrival.origin.trust != Trust::Confirmed {
        return Request::from_parts(head, Full::new(body));
    }
    let record = Bytes::copy_from_slice(arrival.event.body().as_bytes());
    if head.headers.contains_key(CONTENT_LENGTH) {
        head.headers.insert(CONTENT_LENGTH, record.len().into());
    }
    Request::from_parts(head, Full::new(record))
}

impl<B, S, D, H, E> fmt::Debug for ResponseFuture<B, S, D, H, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
