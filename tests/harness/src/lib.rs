//! What the tests share: callbacks as the provider makes them, a handler that counts, a server.

pub mod counting;
pub mod counts;
pub mod fake_api;
pub mod faulty;
pub mod logs;
pub mod outages;
pub mod probe;
pub mod program;
pub mod provider;
pub mod proxy;
pub mod rough;
pub mod server;
pub mod turns;
pub mod vacant;

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use suno_callback::{Delivery, SigningKey, VoiceEvent};
use tokio::net::TcpListener;
use tower::{Layer, Service};

pub const KEY: &str = "test-webhook-hmac-key";

/// The key of all tests. Whoever makes a layer comes by here, so nothing is logged before somebody
/// listens.
pub fn key() -> SigningKey {
    logs::listen();
    SigningKey::new(KEY).unwrap()
}

pub fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A callback as the provider would send it.
#[derive(Clone, Debug)]
pub struct Callback {
    pub task_id: String,
    pub body: String,
    pub timestamp: String,
    pub signature: String,
}

impl Callback {
    /// Any body, signed now for `task_id`.
    pub fn new(task_id: &str, body: impl Into<String>) -> Self {
        Self {
            task_id: task_id.into(),
            body: body.into(),
            timestamp: String::new(),
            signature: String::new(),
        }
        .signed_at(unix_now())
    }

    pub fn success(task_id: &str, voice_id: &str) -> Self {
        Self::new(
            task_id,
            format!(
                r#"{{"code":200,"msg":"success","data":{{"taskId":"{task_id}","voiceId":"{voice_id}","status":"success","errorCode":null,"errorMessage":""}}}}"#
            ),
        )
    }

    pub fn failure(task_id: &str) -> Self {
        Self::new(
            task_id,
            format!(
                r#"{{"code":400,"msg":"fail","data":{{"taskId":"{task_id}","voiceId":"","status":"fail","errorCode":500,"errorMessage":"no"}}}}"#
            ),
        )
    }

    pub fn progress(task_id: &str, status: &str) -> Self {
        Self::new(
            task_id,
            format!(
                r#"{{"code":200,"msg":"success","data":{{"taskId":"{task_id}","status":"{status}"}}}}"#
            ),
        )
    }

    pub fn phrase(task_id: &str, phrase: &str) -> Self {
        Self::new(
            task_id,
            format!(
                r#"{{"code":200,"msg":"success","data":{{"taskId":"{task_id}","validateInfo":"{phrase}","status":"wait_validating","errorCode":0,"errorMessage":""}}}}"#
            ),
        )
    }

    /// Signed again, for another second.
    pub fn signed_at(mut self, seconds: u64) -> Self {
        self.timestamp = seconds.to_string();
        self.signature = key().sign(&self.task_id, seconds);
        self
    }

    pub fn request(&self) -> Request<Full<Bytes>> {
        self.request_to("/")
    }

    pub fn request_to(&self, uri: impl AsRef<str>) -> Request<Full<Bytes>> {
        Request::post(uri.as_ref())
            .header("content-type", "application/json")
            .header("x-webhook-timestamp", &self.timestamp)
            .header("x-webhook-signature", &self.signature)
            .body(Full::new(Bytes::from(self.body.clone())))
            .unwrap()
    }

    /// The request as bytes of HTTP/1.1, for tests that play with the connection.
    pub fn wire(&self) -> Vec<u8> {
        format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             x-webhook-timestamp: {}\r\nx-webhook-signature: {}\r\ncontent-length: {}\r\n\r\n{}",
            self.timestamp,
            self.signature,
            self.body.len(),
            self.body
        )
        .into_bytes()
    }
}

/// What a handler was given, in order.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<(VoiceEvent, Delivery)>>>);

impl Seen {
    pub fn push<B>(&self, request: &Request<B>) {
        let event = request.extensions().get().cloned().expect("an event");
        let delivery = request.extensions().get().cloned().expect("a delivery");
        self.0.lock().unwrap().push((event, delivery));
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn all(&self) -> Vec<(VoiceEvent, Delivery)> {
        self.0.lock().unwrap().clone()
    }

    pub fn runs_of(&self, task_id: &str) -> usize {
        let all = self.0.lock().unwrap();
        all.iter()
            .filter(|(event, _)| event.task_id() == task_id)
            .count()
    }
}

pub fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"handled")));
    *response.status_mut() = status;
    response
}

/// A handler that notes what it sees and answers 200.
pub fn accepting(
    seen: Seen,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
> + Clone
+ Send
+ 'static {
    tower::service_fn(move |request: Request<Full<Bytes>>| {
        seen.push(&request);
        async { Ok(answer(StatusCode::OK)) }
    })
}

/// Serves HTTP/1 and HTTP/2 on loopback until the runtime ends.
pub async fn serve<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    addr
}

/// Sends one callback over a connection of its own.
pub async fn post(addr: SocketAddr, callback: &Callback) -> (StatusCode, Bytes) {
    post_to(&format!("http://{addr}/"), callback).await
}

/// Sends one callback to a URL, over a connection of its own.
pub async fn post_to(url: &str, callback: &Callback) -> (StatusCode, Bytes) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = callback.request_to(url);
    let response = client.request(request).await.unwrap();
    let status = response.status();
    (
        status,
        response.into_body().collect().await.unwrap().to_bytes(),
    )
}

/// Any handler, in one type.
pub type Handler =
    tower::util::BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

/// The layer over any handler.
pub type Receiver<D> = suno_callback::SunoCallbackService<Handler, D>;

/// What the layer answers to a [`Receiver`]'s caller.
pub type Reply = Response<suno_callback::ResponseBody<Full<Bytes>>>;

/// A handler that notes what it sees and then does `work`, which ends in a status.
pub fn handling<F, W>(seen: Seen, work: F) -> Handler
where
    F: Fn(Delivery) -> W + Clone + Send + Sync + 'static,
    W: Future<Output = StatusCode> + Send + 'static,
{
    Handler::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
        seen.push(&request);
        let delivery = request.extensions().get().cloned().expect("a delivery");
        let work = work(delivery);
        async move { Ok(answer(work.await)) }
    }))
}

/// Sends one callback in process.
pub async fn send<D: suno_callback::DedupStore>(
    receiver: &Receiver<D>,
    callback: &Callback,
) -> Reply {
    receiver.clone().call(callback.request()).await.unwrap()
}

/// Sends one callback in process, in a task of its own.
pub fn spawn_send<D: suno_callback::DedupStore>(
    receiver: &Receiver<D>,
    callback: &Callback,
) -> tokio::task::JoinHandle<Reply> {
    let (receiver, callback) = (receiver.clone(), callback.clone());
    tokio::spawn(async move { send(&receiver, &callback).await })
}

/// That two replicas on one store, with many requests for one event between them, run one handler.
pub async fn assert_replicas_share<D: suno_callback::DedupStore + Clone>(store: &D) {
    let seen = Seen::default();
    let replica = || {
        let layer = suno_callback::SunoCallbackLayer::new(key(), store.clone());
        layer.layer(Handler::new(accepting(seen.clone())))
    };
    let (replicas, callback) = ([replica(), replica()], Callback::success("task", "voice"));
    let sent: Vec<_> = (0..32)
        .map(|n| spawn_send(&replicas[n % 2], &callback))
        .collect();
    for reply in sent {
        assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(seen.len(), 1);
}

/// That it is a refusal which asks the sender to come again.
pub fn assert_postponed(reply: &Reply, why: suno_callback::Rejection) {
    assert_eq!(said(reply), Some(why));
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.headers().contains_key("retry-after"));
}

/// What a handler does that takes its time and succeeds.
pub async fn ok_after(time: Duration) -> StatusCode {
    tokio::time::sleep(time).await;
    StatusCode::OK
}

/// A part of a response's extensions, for comparisons.
pub fn said<T: Clone + Send + Sync + 'static>(reply: &Reply) -> Option<T> {
    reply.extensions().get().cloned()
}

/// The slot that the layer uses for `callback`, with its default namespace and kind.
pub async fn slot_of(callback: &Callback) -> suno_callback::store::SlotKey {
    let seen = Seen::default();
    let store = suno_callback::MemoryStore::default();
    let layer = suno_callback::SunoCallbackLayer::new(key(), store);
    let mut service = layer.layer(accepting(seen.clone()));
    service.call(callback.request()).await.unwrap();
    *seen.all()[0].1.slot()
}

/// That `figure` is within an eighth of the one that stands behind `words` on a page that says "some".
#[track_caller]
pub fn assert_some(figure: usize, page: &str, words: &str) {
    let (_, said) = page.split_once(words).expect(words);
    let end = said.find(|char: char| !char.is_ascii_digit());
    let said: usize = said[..end.expect("an end")].parse().expect("a figure");
    assert!(figure.abs_diff(said) <= said / 8, "{words}{said}: {figure}");
}

pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The seed of a random test: `SEED` from the environment, or a new one. Printed, so that a
/// failure can be played again.
pub fn seed() -> u64 {
    let given = std::env::var("SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("SEED={seed}");
    seed
}

/// Waits until `holds`, or fails after ten seconds of the runtime's time.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = tokio::time::Instant::now() + secs(10);
    while !holds() {
        assert!(tokio::time::Instant::now() < end, "never came true: {what}");
        tokio::time::sleep(ms(1)).await;
    }
}
