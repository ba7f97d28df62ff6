//! Drives the inner service ready and calls it, one instance from the first poll to the last.

use std::{
    future::Future,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use http_body_util::Full;
use tower::Service;

use crate::{
    product::Event,
    util::{
        lock,
        panic::{Panicked, catch},
    },
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

/// What the layer is put around.
pub(crate) trait Handler:
    Service<
        HandlerRequest,
        Response = Response<Self::Body>,
        Error: Send + 'static,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
    type Body: Send + 'static;
}

impl<S, H> Handler for S
where
    S: Service<HandlerRequest, Response = Response<H>> + Clone + Send + 'static,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
    H: Send + 'static,
{
    type Body = H;
}

/// A call that never panics, neither when polled nor when what it holds is dropped.
pub(crate) struct Caller<S: Service<HandlerRequest>> {
    /// While it is made ready.
    handler: Option<S>,
    /// In a box of its own: most are ready at once, and then there is no other.
    response: Option<Pin<Box<S::Future>>>,
}

/// What a handler answered, unless it panicked.
pub(crate) type Called<R, E> = Result<Result<R, E>, Panicked>;

impl<S: Handler> Caller<S> {
    pub(crate) fn new() -> Self {
        Self {
            handler: None,
            response: None,
        }
    }

    /// The answer of a clone of `inner` to the request, which is taken with the call. Not to be
    /// polled again after it.
    pub(crate) fn poll(
        &mut self,
        inner: &Mutex<S>,
        request: &mut Option<HandlerRequest>,
        cx: &mut Context<'_>,
    ) -> Poll<Called<S::Response, S::Error>> {
        match catch("handler", || self.step(inner, request, cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(answer)) => Poll::Ready(self.end().map(|()| answer)),
            Err(panicked) => Poll::Ready(self.end().and(Err(panicked))),
        }
    }

    fn step(
        &mut self,
        inner: &Mutex<S>,
        request: &mut Option<HandlerRequest>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, S::Error>> {
        if self.response.is_none() {
            let handler = self.handler.get_or_insert_with(|| lock(inner).clone());
            ready!(handler.poll_ready(cx))?;
            let Some(request) = request.take() else {
                return Poll::Pending;
            };
            self.response = Some(Box::pin(handler.call(request)));
            self.handler = None;
        }
        match &mut self.response {
            Some(response) => response.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<S: Service<HandlerRequest>> Caller<S> {
    /// Drops the handler and its future, once.
    pub(crate) fn end(&mut self) -> Result<(), Panicked> {
        let (handler, response) = (self.handler.take(), self.response.take());
        let unused = catch("drop of the handler", || drop(handler));
        let ended = catch("drop of the handler", || drop(response));
        unused.and(ended)
    }
}

// Also where nobody ends it.
impl<S: Service<HandlerRequest>> Drop for Caller<S> {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
