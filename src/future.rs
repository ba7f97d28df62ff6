use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{
    delivery::Delivery,
    product::{DefaultProduct, Product},
    reply::{self, Answer, Rejection, ResponseBody},
    request::{
        Handled, Line,
        body::ReadBody,
        caller::BoxCaller,
        gate::SignedHead,
        hint, log,
        stages::{Granted, Undecided},
    },
    store::DedupStore,
    util::{clock, timer::Alarm},
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
    pub struct ResponseFuture<B, D, H: 'static, E: 'static, P: Product = DefaultProduct> {
        #[pin]
        phase: Phase<B, D, H, E, P>,
    }
}

pin_project! {
    #[project = PhaseProject]
    #[project_replace = PhaseOwn]
    enum Phase<B, D, H: 'static, E: 'static, P: Product> {
        /// Nothing is claimed, and nothing is boxed.
        Reading {
            #[pin]
            body: ReadBody<B>,
            head: SignedHead,
            // From the first poll on: a future that nobody polls takes no time.
            began: Option<Instant>,
            alarm: Option<Alarm>,
            work: Option<Work<D, H, E, P>>,
        },
        /// Nothing is claimed. Every wait in it ends by the deadline.
        Deciding { run: Undecided<Handled<H, E>>, now: Option<Instant> },
        /// Outlives the peer and the deadline.
        Handling { run: Granted<Handled<H, E>>, alarm: Alarm },
        Refused { rejection: Rejection },
        Over,
    }
}

/// What the rest of the way needs.
pub(crate) struct Work<D, H, E, P: Product> {
    pub(crate) line: Arc<Line<D, P>>,
    pub(crate) caller: BoxCaller<H, E>,
}

impl<B, D, H, E, P: Product> ResponseFuture<B, D, H, E, P> {
    pub(crate) fn refuse(
        rejection: Rejection,
        hint: impl FnOnce() -> Option<&'static str>,
    ) -> Self {
        let phase = Phase::refuse(rejection, hint);
        Self { phase }
    }

    pub(crate) fn read(work: Work<D, H, E, P>, head: SignedHead, body: B) -> Self
    where
        B: Body,
    {
        let phase = Phase::Reading {
            body: ReadBody::new(body, work.line.body_limit),
            head,
            began: None,
            alarm: None,
            work: Some(work),
        };
        Self { phase }
    }
}

impl<B, D, H, E, P> Future for ResponseFuture<B, D, H, E, P>
where
    B: Body,
    D: DedupStore,
    H: Send + 'static,
    E: Send + 'static,
    P: Product,
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
                PhaseProject::Deciding { run, now } => match ready!(poll_deciding(run, now, cx)) {
                    Err(ended) => ended.reply,
                    Ok(delivery) => {
                        phase.as_mut().grant(delivery);
                        continue;
                    }
                },
                PhaseProject::Handling { run, alarm } => ready!(poll_handling(run, alarm, cx)),
                PhaseProject::Refused { rejection } => Ok(reply::refused(*rejection)),
                PhaseProject::Over => return Poll::Pending,
            };
            phase.set(Phase::Over);
            return Poll::Ready(reply);
        }
    }
}

/// (confirm) -> claim
fn poll_deciding<H: 'static, E: 'static>(
    run: &mut Undecided<Handled<H, E>>,
    now: &mut Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<Result<Delivery, Handled<H, E>>> {
    match now.take() {
        Some(now) => clock::at(now, || run.poll(cx)),
        None => run.poll(cx),
    }
}

/// inner service -> commit | release -> reply
fn poll_handling<H, E>(
    run: &mut Granted<Handled<H, E>>,
    alarm: &mut Alarm,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<ResponseBody<H>>, E>> {
    // The handler first: an answer that is there at the deadline is the answer.
    if let Poll::Ready(handled) = run.poll(cx) {
        return Poll::Ready(handled.reply);
    }
    ready!(alarm.poll(cx));
    let rejection = Rejection::StillRunning;
    log::answered(run.delivery().subject(), Answer::Refused(rejection));
    Poll::Ready(Ok(reply::refused(rejection)))
}

impl<B, D, H, E, P: Product> Phase<B, D, H, E, P> {
    fn refuse(rejection: Rejection, hint: impl FnOnce() -> Option<&'static str>) -> Self {
        log::refused(rejection, hint);
        Self::Refused { rejection }
    }
}

impl<B, D, H, E, P> Phase<B, D, H, E, P>
where
    B: Body,
    D: DedupStore,
    H: Send + 'static,
    E: Send + 'static,
    P: Product,
{
    /// body -> event -> signature
    fn poll_reading(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self> {
        let PhaseProject::Reading {
            body,
            head,
            began,
            alarm,
            work,
        } = self.project()
        else {
            return Poll::Pending;
        };
        // A body that is there at once costs no second look at the clock.
        let looked = began.is_none().then(clock::look);
        *began = began.or(looked);
        let (Some(began), Some(line)) = (*began, work.as_ref().map(|work| &work.line)) else {
            return Poll::Pending;
        };
        let read = match body.poll(cx) {
            Poll::Ready(read) => read,
            Poll::Pending => {
                let end = began + line.body_time;
                ready!(alarm.get_or_insert_with(|| Alarm::at(end)).poll(cx));
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
        let credentials = &work.line.gate.credentials;
        Poll::Ready(match work.line.verifying.verify(head, &body, began) {
            Ok(arrival) => {
                let Work { line, mut caller } = work;
                if let Some(request) = caller.as_mut().request_mut() {
                    *request.body_mut() = Full::new(body);
                }
                let run = line.run(arrival, caller);
                Self::Deciding { run, now: looked }
            }
            Err(why) => Self::refuse(why, || hint::of_body(why, &body, credentials, head)),
        })
    }

    /// The claim is held: from here on nothing is dropped.
    fn grant(mut self: Pin<&mut Self>, delivery: Delivery) {
        let over = self.as_mut().project_replace(Self::Over);
        if let PhaseOwn::Deciding { run, .. } = over {
            let alarm = Alarm::at(delivery.deadline());
            let run = run.granted(delivery);
            self.set(Self::Handling { run, alarm });
        }
    }
}

impl<B, D, H, E, P: Product> fmt::Debug for ResponseFuture<B, D, H, E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
