//! Drives the inner service ready and calls it, one instance from the first poll to the last.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower::Service;

use crate::{
    product::Event,
    util::panic::{Panicked, catch},
};

/// What the inner service is called with.
pub(crate) type HandlerRequest = Request<Full<Bytes>>;

/// What the handler sees of a poll: a POST to `/` with the record.
pub(crate) fn polled<E: Event>(record: &E) -> HandlerRequest {
    let mut request = Request::new(Full::from(record.body().to_owned()));
    *request.method_mut() = Method::POST;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    request
}

/// The inner service with its request, in a box from the start: what is large is moved once.
pub(crate) type BoxCaller<H, E> = Pin<Box<dyn Call<H, E> + Send>>;

/// A call that never panics, neither when polled nor when what it holds is dropped.
pub(crate) trait Call<H, E> {
    /// The request, for as long as the service was not called.
    fn request_mut(self: Pin<&mut Self>) -> Option<&mut HandlerRequest>;

    /// The same service with another request; `None` once the service was called.
    fn again(self: Pin<&mut Self>, request: HandlerRequest) -> Option<BoxCaller<H, E>>;

    /// The inner service's answer. Not to be polled again after it.
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Result<Response<H>, E>, Panicked>>;

    /// Drops the service or its future.
    fn end(self: Pin<&mut Self>) -> Result<(), Panicked>;
}

pin_project! {
    pub(crate) struct Caller<S>
    where
        S: Service<HandlerRequest>,
    {
        #[pin]
        stage: Stage<S, S::Future>,
    }

    // Also where nobody ends it: a duplicate, or a request that is refused, drops a service unused.
    impl<S> PinnedDrop for Caller<S>
    where
        S: Service<HandlerRequest>,
    {
        fn drop(this: Pin<&mut Self>) {
            let _ = this.finish();
        }
    }
}

pin_project! {
    #[project = StageProject]
    enum Stage<S, F> {
        Waiting { inner: S, request: Option<HandlerRequest> },
        Calling { #[pin] response: F },
        Over,
    }
}

impl<S: Service<HandlerRequest>> Caller<S> {
    pub(crate) fn boxed(inner: S, request: HandlerRequest) -> Pin<Box<Self>> {
        let request = Some(request);
        let stage = Stage::Waiting { inner, request };
        Box::pin(Self { stage })
    }

    /// Drops the service or its future, once.
    fn finish(self: Pin<&mut Self>) -> Result<(), Panicked> {
        let mut stage = self.project().stage;
        catch("drop of the handler", || stage.set(Stage::Over))
    }

    fn step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Response, S::Error>> {
        let mut stage = self.project().stage;
        loop {
            let response = match stage.as_mut().project() {
                StageProject::Calling { response } => return response.poll(cx),
                StageProject::Over => return Poll::Pending,
                StageProject::Waiting { inner, request } => {
                    ready!(inner.poll_ready(cx))?;
                    request.take().map(|request| inner.call(request))
                }
            };
            stage.set(response.map_or(Stage::Over, |response| Stage::Calling { response }));
        }
    }
}

impl<S, H> Call<H, S::Error> for Caller<S>
where
    S: Service<HandlerRequest, Response = Response<H>> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    fn again(self: Pin<&mut Self>, request: HandlerRequest) -> Option<BoxCaller<H, S::Error>> {
        match self.project().stage.project() {
            StageProject::Waiting { inner, .. } => {
                let inner = catch("clone of the handler", || inner.clone()).ok()?;
                Some(Caller::boxed(inner, request))
            }
            StageProject::Calling { .. } | StageProject::Over => None,
        }
    }

    fn request_mut(self: Pin<&mut Self>) -> Option<&mut HandlerRequest> {
        match self.project().stage.project() {
            StageProject::Waiting { request, .. } => request.as_mut(),
            StageProject::Calling { .. } | StageProject::Over => None,
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Result<Response<H>, S::Error>, Panicked>> {
        let answer = match catch("handler", || self.as_mut().step(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(answer)) => Ok(answer),
            Err(panicked) => Err(panicked),
        };
        Poll::Ready(self.finish().and(answer))
    }

    fn end(self: Pin<&mut Self>) -> Result<(), Panicked> {
        self.finish()
    }
}
