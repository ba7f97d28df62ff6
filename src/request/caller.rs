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

/// A handler and what it will be called with. Most requests need none, so nothing is made of it
/// before the claim is granted.
pub(crate) struct Callee<S> {
    handler: Unused<S>,
    request: Option<HandlerRequest>,
}

impl<S> Callee<S> {
    pub(crate) fn new(handler: S, request: HandlerRequest) -> Self {
        Self {
            handler: Unused(Some(handler)),
            request: Some(request),
        }
    }

    /// Takes it to where it will be called from: what is large is moved once.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            handler: Unused(self.handler.0.take()),
            request: self.request.take(),
        }
    }

    /// The request, for as long as the handler was not called.
    pub(crate) fn request(&mut self) -> Option<&mut HandlerRequest> {
        self.request.as_mut()
    }
}

impl<S: Clone> Callee<S> {
    /// The same handler with another request.
    pub(crate) fn again(&self, request: HandlerRequest) -> Option<Self> {
        let handler = catch("clone of the handler", || self.handler.0.clone());
        Some(Self::new(handler.ok()??, request))
    }
}

/// A handler whose drop may panic: for a duplicate, or a request that is refused, it is not called.
struct Unused<S>(Option<S>);

impl<S> Drop for Unused<S> {
    fn drop(&mut self) {
        if let Some(handler) = self.0.take() {
            let _ = catch("drop of the handler", || drop(handler));
        }
    }
}

pin_project! {
    /// A call that never panics, neither when polled nor when what it holds is dropped.
    pub(crate) struct Caller<'a, S: Service<HandlerRequest>> {
        callee: &'a mut Callee<S>,
        #[pin]
        response: Option<S::Future>,
    }

    // Also where nobody ends it.
    impl<S: Service<HandlerRequest>> PinnedDrop for Caller<'_, S> {
        fn drop(this: Pin<&mut Self>) {
            let _ = this.end();
        }
    }
}

/// What a handler answered, unless it panicked.
pub(crate) type Called<R, E> = Result<Result<R, E>, Panicked>;

impl<'a, S: Handler> Caller<'a, S> {
    pub(crate) fn new(callee: &'a mut Callee<S>) -> Self {
        let response = None;
        Self { callee, response }
    }

    /// The inner service's answer. Not to be polled again after it.
    pub(crate) fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Called<S::Response, S::Error>> {
        match catch("handler", || self.as_mut().step(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(answer)) => Poll::Ready(self.end().map(|()| answer)),
            Err(panicked) => Poll::Ready(self.end().and(Err(panicked))),
        }
    }

    fn step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Response, S::Error>> {
        let mut this = self.project();
        if this.response.is_none() {
            let Some(handler) = &mut this.callee.handler.0 else {
                return Poll::Pending;
            };
            ready!(handler.poll_ready(cx))?;
            let request = this.callee.request.take();
            this.response
                .set(request.map(|request| handler.call(request)));
            this.callee.handler.0 = None;
        }
        match this.response.as_pin_mut() {
            Some(response) => response.poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<S: Service<HandlerRequest>> Caller<'_, S> {
    /// Drops the handler and its future, once.
    pub(crate) fn end(self: Pin<&mut Self>) -> Result<(), Panicked> {
        let mut this = self.project();
        let handler = this.callee.handler.0.take();
        let unused = catch("drop of the handler", || drop(handler));
        let ended = catch("drop of the handler", || this.response.set(None));
        unused.and(ended)
    }
}
