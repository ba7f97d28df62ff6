//! The layer over a counting store and a handler that notes what it sees.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use suno_callback::{
    Clock, Disposition, MemoryStore, Rejection, ResponseBody, SunoCallbackLayer,
    SunoCallbackService,
};
use tower::{BoxError, Layer, Service, ServiceExt, util::BoxCloneSyncService};

use super::{
    Seen, answer,
    counting::{Counting, Counts, counting},
    key,
};

pub type Inner = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>;
pub type ProbeLayer = SunoCallbackLayer<Counting<MemoryStore>>;

/// A layer that counts, for callbacks signed with [`key`].
pub fn layer() -> ProbeLayer {
    SunoCallbackLayer::new(key(), counting(MemoryStore::default()))
}

#[derive(Clone)]
pub struct Probe {
    pub service: SunoCallbackService<Inner, Counting<MemoryStore>>,
    pub seen: Seen,
    pub store: Arc<Counts>,
}

/// What came back, and what the layer said about it to the layers outside.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub rejection: Option<Rejection>,
    pub disposition: Option<Disposition>,
}

/// With the default layer and a handler that answers 200.
impl Default for Probe {
    fn default() -> Self {
        Self::with(&layer())
    }
}

impl Probe {
    /// With a handler that answers 200.
    pub fn with(layer: &ProbeLayer) -> Self {
        Self::answering(layer, |_| Ok(answer(StatusCode::OK)))
    }

    /// With a handler that answers `reply` after it has noted the request.
    pub fn answering(
        layer: &ProbeLayer,
        reply: impl Fn(Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self::calling(layer, move |request| std::future::ready(reply(request)))
    }

    /// With a handler that takes its time, after it has noted the request.
    pub fn calling<F>(
        layer: &ProbeLayer,
        handler: impl Fn(Request<Full<Bytes>>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Response<Full<Bytes>>, BoxError>> + Send + 'static,
    {
        let seen = Seen::default();
        let noted = seen.clone();
        let inner = tower::service_fn(move |request: Request<Full<Bytes>>| {
            noted.push(&request);
            handler(request)
        });
        Self {
            service: layer.layer(BoxCloneSyncService::new(inner)),
            seen,
            store: Arc::clone(layer.store().interceptor()),
        }
    }

    pub async fn send<B>(&self, request: Request<B>) -> Reply
    where
        B: Body,
    {
        Reply::of(self.try_send(request).await.unwrap()).await
    }

    pub async fn try_send<B: Body>(
        &self,
        request: Request<B>,
    ) -> Result<Response<ResponseBody<Full<Bytes>>>, BoxError> {
        let mut service = self.service.clone();
        Service::<Request<B>>::call(
            ServiceExt::<Request<B>>::ready(&mut service).await?,
            request,
        )
        .await
    }

    /// That no handler ran and the store was not asked anything.
    pub fn assert_untouched(&self) {
        assert!(self.seen.is_empty(), "the handler ran");
        assert!(self.store.untouched(), "{:?}", self.store.now());
    }
}

impl Reply {
    pub async fn of(response: Response<ResponseBody<Full<Bytes>>>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status,
            rejection: head.extensions.get().copied(),
            disposition: head.extensions.get().copied(),
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// That it is a refusal: the layer's constant answer for that status, and nothing more.
    pub fn assert_refusal(&self, rejection: Rejection) {
        assert_eq!(self.rejection, Some(rejection), "{self:?}");
        self.assert_refused(rejection.status());
    }

    pub fn assert_refused(&self, status: StatusCode) {
        let (body, extra) = match status.as_u16() {
            400 => (r#"{"error":"bad request"}"#, None),
            401 => (r#"{"error":"unauthorized"}"#, None),
            405 => (r#"{"error":"method not allowed"}"#, Some(("allow", "POST"))),
            408 => (r#"{"error":"request timeout"}"#, None),
            413 => (r#"{"error":"payload too large"}"#, None),
            415 => (r#"{"error":"unsupported media type"}"#, None),
            500 => (r#"{"error":"internal server error"}"#, None),
            503 => (r#"{"error":"try again later"}"#, Some(("retry-after", "5"))),
            other => panic!("{other} is no refusal"),
        };
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.rejection.map(|why| why.status()), Some(status));
        assert_eq!(self.disposition, None);
        assert_eq!(self.body, body);
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.headers.len(), 1 + usize::from(extra.is_some()));
        if let Some((name, value)) = extra {
            assert_eq!(self.header(name), Some(value));
        }
    }

    /// That it is a 200 without a handler.
    pub fn assert_received(&self, disposition: Disposition) {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.disposition, Some(disposition), "{self:?}");
        assert_eq!(self.rejection, None);
        assert_eq!(self.body, r#"{"status":"received"}"#);
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.headers.len(), 1);
    }

    /// That the handler answered and its event is recorded.
    pub fn assert_accepted(&self) {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.disposition, Some(Disposition::Accepted), "{self:?}");
        assert_eq!(self.rejection, None);
        assert_eq!(self.body, "handled");
    }
}

/// A wall clock that a test sets, in Unix seconds. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct WallClock(Arc<AtomicU64>);

impl WallClock {
    pub fn at(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds)))
    }

    pub fn set(&self, seconds: u64) {
        self.0.store(seconds, SeqCst);
    }
}

impl Clock for WallClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0.load(SeqCst))
    }
}
