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
    delivery::{Arrival, Delivery},
    product::{DefaultProduct, Product},
    reply::{self, Answer, Rejection, ResponseBody},
    request::{
        Handled, Line, Mounted,
        body::ReadBody,
        caller::{Handler, HandlerRequest},
        gate::SignedHead,
        hint, log,
        stages::{Begun, Granted, Undecided},
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
    pub struct ResponseFuture<S, B, D, H: 'static, E: 'static, P: Product = DefaultProduct> {
        #[pin]
        phase: Phase<S, B, D, H, E, P>,
    }
}

pin_project! {
    #[project = PhaseProject]
    #[project_replace = PhaseOwn]
    enum Phase<S, B, D, H: 'static, E: 'static, P: Product> {
        /// Nothing is claimed, and nothing is boxed.
        Reading {
            #[pin]
            body: ReadBody<B>,
            head: SignedHead,
            // From the first poll on: a future that nobody polls takes no time.
            began: Option<Instant>,
            alarm: Option<Alarm>,
            // `None` once they were passed on.
            mounted: Option<Arc<Mounted<S, D, P>>>,
            request: Option<HandlerRequest>,
        },
        /// Nothing is claimed. Every wait in it ends by the deadline.
        Deciding { run: Undecided<Handled<H, E>> },
        /// Outlives the peer and the deadline.
        Handling { run: Granted<Handled<H, E>>, alarm: Alarm },
        Refused { rejection: Rejection },
        Over,
    }
}

impl<S, B, D, H, E, P: Product> ResponseFuture<S, B, D, H, E, P> {
    pub(crate) fn refuse(
        line: &Line<D, P>,
        rejection: Rejection,
        hint: impl FnOnce() -> Option<&'static str>,
    ) -> Self {
        log::refused(&line.verifying.meters, rejection, hint);
        let phase = Phase::Refused { rejection };
        Self { phase }
    }

    pub(crate) fn read(
        mounted: Arc<Mounted<S, D, P>>,
        request: HandlerRequest,
        head: SignedHead,
        body: B,
    ) -> Self
    where
        B: Body,
    {
        let phase = Phase::Reading {
            body: ReadBody::new(body, mounted.line.body_limit),
            head,
            began: None,
            alarm: None,
            mounted: Some(mounted),
            request: Some(request),
        };
        Self { phase }
    }
}

impl<S, B, D, H, P> Future for ResponseFuture<S, B, D, H, S::Error, P>
where
    S: Handler<Body = H>,
    B: Body,
    D: DedupStore,
    H: Send + 'static,
    P: Product,
{
    type Output = Result<Response<ResponseBody<H>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut phase = self.project().phase;
        loop {
            let reply = match phase.as_mut().project() {
                PhaseProject::Reading { .. } => match ready!(phase.as_mut().poll_reading(cx)) {
                    Err(why) => Ok(reply::refused(why)),
                    Ok(Begun::Over(ended)) => ended.reply,
                    Ok(Begun::Undecided(run)) => {
                        phase.set(Phase::Deciding { run });
                        continue;
                    }
                    Ok(Begun::Granted(run)) => {
                        phase.set(Phase::handling(run));
                        continue;
                    }
                },
                PhaseProject::Deciding { run } => match ready!(run.poll(cx)) {
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

impl<S, B, D, H, E, P: Product> Phase<S, B, D, H, E, P> {
    fn handling(run: Granted<Handled<H, E>>) -> Self {
        let alarm = Alarm::at(run.delivery().deadline());
        Self::Handling { run, alarm }
    }

    /// The claim is held: from here on nothing is dropped.
    fn grant(mut self: Pin<&mut Self>, delivery: Delivery) {
        let over = self.as_mut().project_replace(Self::Over);
        if let PhaseOwn::Deciding { run } = over {
            self.set(Self::handling(run.granted(delivery)));
        }
    }
}

/// How a request goes on whose body was read and verified.
type Read<H, E> = Result<Begun<Handled<H, E>>, Rejection>;

impl<S, B, D, P> Phase<S, B, D, S::Body, S::Error, P>
where
    S: Handler,
    B: Body,
    D: DedupStore,
    P: Product,
{
    /// body -> event -> signature
    fn poll_reading(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Read<S::Body, S::Error>> {
        let PhaseProject::Reading {
            body,
            head,
            began,
            alarm,
            mounted,
            request,
        } = self.project()
        else {
            return Poll::Pending;
        };
        // A body that is there at once costs no second look at the clock.
        let looked = began.is_none().then(clock::look);
        *began = began.or(looked);
        let (Some(began), Some(line)) = (*began, mounted.as_ref().map(|it| &it.line)) else {
            return Poll::Pending;
        };
        let read = ready!(poll_body(body, alarm, began + line.body_time, cx));
        let arrival = verify(line, head, &read, began)?;
        let (Some(mounted), Some(unread)) = (mounted.take(), request.as_mut()) else {
            return Poll::Pending;
        };
        *unread.body_mut() = Full::new(read.unwrap_or_default());
        Poll::Ready(Ok(mounted.run(arrival, request, looked, cx)))
    }
}

/// The whole body, or why there is none.
fn poll_body<B: Body>(
    body: Pin<&mut ReadBody<B>>,
    alarm: &mut Option<Alarm>,
    end: Instant,
    cx: &mut Context<'_>,
) -> Poll<Result<Bytes, Rejection>> {
    match body.poll(cx) {
        Poll::Ready(read) => Poll::Ready(read),
        Poll::Pending => {
            let alarm = alarm.get_or_insert_with(|| Alarm::at(end));
            alarm.poll(cx).map(|()| Err(Rejection::BodyTooSlow))
        }
    }
}

/// event -> signature
fn verify<D, P: Product>(
    line: &Line<D, P>,
    head: &SignedHead,
    read: &Result<Bytes, Rejection>,
    began: Instant,
) -> Result<Arrival<P::Event>, Rejection> {
    let verified = match read {
        Ok(body) => line.verifying.verify(head, body, began),
        Err(why) => Err(*why),
    };
    verified.inspect_err(|why| {
        log::refused(&line.verifying.meters, *why, || match read {
            Ok(body) => hint::of_body(*why, body, &line.gate.credentials, head),
            Err(_) => hint::of_reading(*why),
        });
    })
}

impl<S, B, D, H, E, P: Product> fmt::Debug for ResponseFuture<S, B, D, H, E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
