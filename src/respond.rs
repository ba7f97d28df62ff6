//! A request that is answered by a function of its event, for servers without a framework.

use std::{
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tower::{Layer, Service};

use crate::{
    delivery::Delivery, layer::SunoCallbackLayer, product::Product, reply::ResponseBody,
    store::DedupStore,
};

impl<D: DedupStore, P: Product> SunoCallbackLayer<D, P> {
    /// Answers one request, with a function of the event as the handler: for servers that are a
    /// `match` on method and path, as those of hyper.
    ///
    /// The handler may still run when the answer has gone, and what [`confirm`](Self::confirm) asks
    /// on about is handed to it later, so it owns what it needs. An error means: send it again; its
    /// status is the answer, and a status that says otherwise is 500. Everything that the layer
    /// promises holds for all requests of one layer and its clones together.
    ///
    /// A [`Reconciler`](crate::Reconciler) hands what it finds to a service: where there is one, make
    /// the service once with [`Layer::layer`] and call that instead, as `examples/hyper.rs` does.
    ///
    /// # Cancellation safety
    ///
    /// That of [`ResponseFuture`](crate::ResponseFuture).
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a Tokio runtime with its timer enabled.
    ///
    /// # Example
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Method, Request, Response, StatusCode};
    /// use http_body_util::Full;
    /// use hyper::body::Incoming;
    /// use suno_callback::{MemoryStore, SunoCallbackLayer, VoiceEvent};
    ///
    /// async fn on_voice(event: VoiceEvent) -> Result<(), StatusCode> {
    ///     println!("{}: {:?}", event.task_id(), event.outcome());
    ///     Ok(())
    /// }
    ///
    /// async fn route(
    ///     suno: SunoCallbackLayer<MemoryStore>, // a clone of the one that `main` has made
    ///     request: Request<Incoming>,
    /// ) -> Response<Full<Bytes>> {
    ///     match (request.method(), request.uri().path()) {
    ///         (&Method::GET, "/health") => Response::new(Full::from("ok")),
    ///         (_, "/callbacks/suno/voice") => {
    ///             suno.respond(request, |event, _delivery| on_voice(event)).await
    ///         }
    ///         _ => Response::new(Full::from("no such page")),
    ///     }
    /// }
    /// ```
    pub async fn respond<B, F, R>(&self, request: Request<B>, handler: F) -> Response<Full<Bytes>>
    where
        B: Body,
        F: FnOnce(P::Event, Delivery) -> R + Clone + Send + 'static,
        R: Future<Output = Result<(), StatusCode>> + Send + 'static,
    {
        let handler = EventFn {
            function: handler,
            event: PhantomData::<fn(P::Event)>,
        };
        match self.layer(handler).call(request).await {
            Ok(response) => response.map(ResponseBody::into_full),
            Err(never) => match never {},
        }
    }
}

/// A function of the event as an inner service.
struct EventFn<F, E> {
    function: F,
    event: PhantomData<fn(E)>,
}

impl<F: Clone, E> Clone for EventFn<F, E> {
    fn clone(&self) -> Self {
        Self {
            function: self.function.clone(),
            event: PhantomData,
        }
    }
}

impl<F, E, R> Service<Request<Full<Bytes>>> for EventFn<F, E>
where
    F: FnOnce(E, Delivery) -> R + Clone,
    E: Send + Sync + 'static,
    R: Future<Output = Result<(), StatusCode>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        let extensions = request.extensions_mut();
        let (event, delivery) = (extensions.remove(), extensions.remove());
        let function = self.function.clone();
        let handled = event
            .zip(delivery)
            .map(|(event, delivery)| function(event, delivery));
        Box::pin(async move {
            let mut response = Response::new(Full::default());
            *response.status_mut() = match handled {
                Some(handled) => status(handled.await),
                None => StatusCode::INTERNAL_SERVER_ERROR, // only the layer calls this
            };
            Ok(response)
        })
    }
}

/// An error is never a success, whatever its status says.
fn status(handled: Result<(), StatusCode>) -> StatusCode {
    match handled {
        Ok(()) => StatusCode::OK,
        Err(status) if status.is_success() => StatusCode::INTERNAL_SERVER_ERROR,
        Err(status) => status,
    }
}
