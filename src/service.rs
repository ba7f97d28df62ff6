use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::Service;

use crate::{
    future::ResponseFuture,
    product::{DefaultProduct, Product},
    reply::{Rejection, ResponseBody},
    request::{Mounted, hint},
    store::DedupStore,
};

/// The service of a [`SunoCallbackLayer`](crate::SunoCallbackLayer); see [there](crate).
///
/// A request goes this way, and each step has a module of its own:
///
/// ```text
/// gate -> body -> event -> signature -> (confirm) -> claim -> inner service -> commit | release -> reply
/// ```
///
#[doc = include_str!("../docs/diagrams/request.svg")]
///
/// Cheap to clone: all clones share one inner service, which need not be `Sync`. That one is cloned for
/// each event that is handled, and for nothing else.
///
/// # Example
///
/// The inner service of one without a framework: it gets the exact bytes, and event and
/// [`Delivery`](crate::Delivery) in the extensions.
///
/// ```
/// use std::convert::Infallible;
///
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer, VoiceEvent};
/// use tower::{Layer, service_fn};
///
/// async fn on_voice(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
///     let mut response = Response::new(Full::default());
///     match request.extensions().get::<VoiceEvent>() {
///         Some(event) => println!("{}: {:?}", event.task_id(), event.outcome()),
///         None => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR, // no layer in front
///     }
///     Ok(response)
/// }
///
/// let key = SigningKey::new("the key of the settings page")?;
/// let service = SunoCallbackLayer::new(key, MemoryStore::default()).layer(service_fn(on_voice));
/// # let _ = service;
/// # Ok::<(), suno_callback::InvalidKey>(())
/// ```
#[derive(Debug)]
pub struct SunoCallbackService<S, D, P: Product = DefaultProduct> {
    pub(crate) mounted: Arc<Mounted<S, D, P>>,
}

impl<S, D, B, H, P> Service<Request<B>> for SunoCallbackService<S, D, P>
where
    S: Service<Request<Full<Bytes>>, Response = Response<H>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    D: DedupStore,
    B: Body,
    H: Send + 'static,
    P: Product,
{
    type Response = Response<ResponseBody<H>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, D, H, S::Error, P>;

    /// Always ready: most requests need no handler, so only the one that holds the claim makes a
    /// clone of the inner service ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let line = &self.mounted.line;
        if line.drain.is_closed() {
            return ResponseFuture::refuse(line, Rejection::ShuttingDown, || None);
        }
        let signed = match line.gate.check(&request) {
            Ok(signed) => signed,
            Err(rejection) => {
                return ResponseFuture::refuse(line, rejection, || {
                    hint::of_head(rejection, &request)
                });
            }
        };
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, Full::default());
        ResponseFuture::read(Arc::clone(&self.mounted), request, signed, body)
    }
}

impl<S, D, P: Product> Clone for SunoCallbackService<S, D, P> {
    fn clone(&self) -> Self {
        Self {
            mounted: Arc::clone(&self.mounted),
        }
    }
}
