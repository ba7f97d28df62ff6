use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower::Service;

use crate::{
    future::{ResponseFuture, Work},
    pipeline::Pipeline,
    rejection::Rejection,
    reply::ResponseBody,
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
    type Future = ResponseFuture<B, S, D, H, S::Error>;

    /// Always ready: most requests need no handler, so only the one that holds the claim makes a
    /// clone of the inner service ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        if self.pipeline.drain.is_closed() {
            return ResponseFuture::refuse(Rejection::ShuttingDown);
        }
        let proof = match self.pipeline.gate.check(&head) {
            Ok(proof) => proof,
            Err(rejection) => return ResponseFuture::refuse(rejection),
        };
        let work = Work {
            pipeline: Arc::clone(&self.pipeline),
            inner: self.inner.clone(),
            head,
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
