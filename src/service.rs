use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower::Service;

use crate::{
    event::VoiceEvent,
    future::{ResponseFuture, Work},
    reply::{Answer, Rejection, ResponseBody},
    request::caller::{BoxCaller, Caller, HandlerRequest},
    request::detach::Detachable,
    request::hint,
    request::pipeline::Pipeline,
    store::DedupStore,
};

/// The service of a [`SunoCallbackLayer`](crate::SunoCallbackLayer); see [there](crate).
///
/// A request goes this way, and each step has a module of its own:
///
/// ```text
/// gate -> body -> event -> signature -> (confirm) -> claim -> inner service -> commit | release -> reply
/// ```
#[derive(Debug)]
pub struct SunoCallbackService<S, D> {
    pub(crate) inner: S,
    pub(crate) pipeline: Arc<Pipeline<D>>,
}

impl<S, D, B, H> Service<Request<B>> for SunoCallbackService<S, D>
where
    S: Service<Request<Full<Bytes>>, Response = Response<H>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    D: DedupStore,
    B: Body,
    H: Send + 'static,
{
    type Response = Response<ResponseBody<H>>;
    type Error = S::Error;
    type Future = ResponseFuture<B, D, H, S::Error>;

    /// Always ready: most requests need no handler, so only the one that holds the claim makes a
    /// clone of the inner service ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.pipeline.drain.is_closed() {
            return ResponseFuture::refuse(Rejection::ShuttingDown, || None);
        }
        let proof = match self.pipeline.gate.check(&request) {
            Ok(proof) => proof,
            Err(rejection) => {
                return ResponseFuture::refuse(rejection, || hint::of_head(rejection, &request));
            }
        };
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, Full::default());
        let work = Work {
            pipeline: Arc::clone(&self.pipeline),
            caller: Caller::boxed(self.inner.clone(), request),
        };
        ResponseFuture::read(work, proof, body, Instant::now())
    }
}

impl<S: Clone, D> Clone for SunoCallbackService<S, D> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            pipeline: Arc::clone(&self.pipeline),
        }
    }
}

impl<S, D, H> SunoCallbackService<S, D>
where
    S: Service<Request<Full<Bytes>>, Response = Response<H>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    D: DedupStore,
    H: Send + 'static,
{
    /// Takes a record that a poll found to the handler; see [`Pipeline::hand_over`].
    pub(crate) async fn hand_over(self, record: VoiceEvent) -> Answer {
        let caller = Caller::boxed(self.inner, polled(&record));
        self.pipeline.hand_over(record, caller).await
    }
}

impl<D: DedupStore> Pipeline<D> {
    /// Takes a record that a poll found the way of a callback, from the claim on. No deadline cuts
    /// its handler; twins are waited for as long as a callback would.
    ///
    /// # Cancellation safety
    ///
    /// As for a [`ResponseFuture`]: once the handler runs, it runs to its end.
    pub(crate) async fn hand_over<H, E>(
        self: Arc<Self>,
        record: VoiceEvent,
        caller: BoxCaller<H, E>,
    ) -> Answer
    where
        H: Send + 'static,
        E: Send + 'static,
    {
        if self.drain.is_closed() {
            return Answer::Refused(Rejection::ShuttingDown);
        }
        let arrival = Arc::new(self.polled(record));
        let run = self.run(Arc::clone(&arrival), caller);
        let mut handling = Detachable::new(arrival, run);
        let handled = poll_fn(|cx| handling.poll(cx)).await;
        handled.answer
    }
}

/// What the handler sees of a poll.
pub(crate) fn polled(record: &VoiceEvent) -> HandlerRequest {
    let mut request = Request::new(Full::from(record.body().to_owned()));
    *request.method_mut() = Method::POST;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    request
}
