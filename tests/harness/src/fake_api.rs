//! A small fake of the provider's API: what it answers is set per task. It is a tower service, so
//! it works in process and behind a socket alike.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, time::Instant};
use tower::Service;

pub const API_KEY: &str = "fake-api-key";

/// The API. Clones share everything.
#[derive(Clone, Default)]
pub struct FakeApi(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    records: HashMap<String, String>,
    /// The only path under which a task is known, where there is one.
    paths: HashMap<String, String>,
    outage: Option<Reply>,
    requests: Vec<Asked>,
    hangs: bool,
}

/// One request that arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Instant,
    pub method: Method,
    pub path: String,
    pub task_id: String,
    pub headers: HeaderMap,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub retry_after: Option<String>,
    pub body: String,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            retry_after: None,
            body: body.into(),
        }
    }

    pub fn retry_after(mut self, value: &str) -> Self {
        self.retry_after = Some(value.into());
        self
    }
}

impl FakeApi {
    /// The task is done: what `record-info` documents.
    pub fn succeed(&self, task_id: &str, voice_id: &str) {
        self.set(
            task_id,
            format!(
                r#"{{"code":200,"msg":"success","data":{{"taskId":"{task_id}","voiceId":"{voice_id}","status":"success","errorCode":0,"errorMessage":""}}}}"#
            ),
        );
    }

    pub fn fail(&self, task_id: &str) {
        self.set(
            task_id,
            format!(
                r#"{{"code":200,"msg":"success","data":{{"taskId":"{task_id}","voiceId":"","status":"fail","errorCode":500,"errorMessage":"no"}}}}"#
            ),
        );
    }

    pub fn progress(&self, task_id: &str, status: &str) {
        self.set(
            task_id,
            format!(
                r#"{{"code":200,"msg":"success","data":{{"taskId":"{task_id}","status":"{status}"}}}}"#
            ),
        );
    }

    pub fn phrase(&self, task_id: &str, phrase: &str) {
        self.set(
            task_id,
            format!(
                r#"{{"code":200,"msg":"success","data":{{"taskId":"{task_id}","validateInfo":"{phrase}","status":"wait_validating","errorCode":0,"errorMessage":""}}}}"#
            ),
        );
    }

    /// Any body for a task.
    pub fn set(&self, task_id: &str, body: String) {
        self.state().records.insert(task_id.into(), body);
    }

    /// Any body for a task, at one endpoint: others do not know the task.
    pub fn set_at(&self, path: &str, task_id: &str, body: String) {
        self.set(task_id, body);
        self.state().paths.insert(task_id.into(), path.into());
    }

    pub fn forget(&self, task_id: &str) {
        self.state().records.remove(task_id);
    }

    /// Answers everything with this until [`FakeApi::recover`].
    pub fn break_down(&self, reply: Reply) {
        self.state().outage = Some(reply);
    }

    /// Answers nothing any more.
    pub fn hang(&self) {
        self.state().hangs = true;
    }

    pub fn recover(&self) {
        let mut state = self.state();
        state.outage = None;
        state.hangs = false;
    }

    pub fn requests(&self) -> Vec<Asked> {
        self.state().requests.clone()
    }

    pub fn count(&self) -> usize {
        self.state().requests.len()
    }

    pub fn questions_about(&self, task_id: &str) -> usize {
        let state = self.state();
        let about = |asked: &&Asked| asked.task_id == task_id;
        state.requests.iter().filter(about).count()
    }

    /// Serves it on loopback until the runtime ends; returns the base URL.
    pub async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr: SocketAddr = listener.local_addr().unwrap();
        let api = self.clone();
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let service = TowerToHyperService::new(api.clone());
                tokio::spawn(async move {
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        format!("http://{addr}")
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// `None` where nothing is ever answered.
    fn answer(&self, asked: Asked) -> Option<Reply> {
        let mut state = self.state();
        let known = ["record-info", "recordInfo", "validate-info", "check-voice"];
        let known = known.iter().any(|it| asked.path.ends_with(it));
        let authorized = asked.headers.get("authorization");
        let authorized = authorized.is_some_and(|it| it == &format!("Bearer {API_KEY}"));
        let path = state.paths.get(&asked.task_id);
        let elsewhere = path.is_some_and(|path| *path != asked.path);
        let record = state.records.get(&asked.task_id).cloned();
        let record = record.filter(|_| !elsewhere);
        let checks = asked.method == Method::POST;
        state.requests.push(asked);
        if state.hangs {
            return None;
        }
        if let Some(outage) = &state.outage {
            return Some(outage.clone());
        }
        Some(match (authorized, known, record) {
            (false, ..) => Reply::new(
                200,
                r#"{"code":401,"msg":"You do not have access permissions"}"#,
            ),
            (_, false, _) => Reply::new(404, ""),
            (.., Some(body)) if !checks => Reply::new(200, body),
            (.., record) if checks => Reply::new(
                200,
                format!(
                    r#"{{"code":200,"msg":"success","data":{{"isAvailable":{}}}}}"#,
                    record.is_some()
                ),
            ),
            _ => Reply::new(200, r#"{"code":200,"msg":"success","data":null}"#),
        })
    }
}

impl<B> Service<Request<B>> for FakeApi
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Debug,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let asked = Asked {
                at: Instant::now(),
                task_id: task_id(head.uri.query(), &body),
                path: head.uri.path().to_owned(),
                method: head.method,
                headers: head.headers,
            };
            let Some(reply) = api.answer(asked) else {
                return std::future::pending().await;
            };
            let mut response = Response::new(Full::from(reply.body));
            *response.status_mut() = StatusCode::from_u16(reply.status).unwrap();
            if let Some(value) = reply.retry_after {
                let headers = response.headers_mut();
                headers.insert("retry-after", value.parse().unwrap());
            }
            Ok(response)
        })
    }
}

fn task_id(query: Option<&str>, body: &[u8]) -> String {
    if let Some(encoded) = query.and_then(|it| it.strip_prefix("taskId=")) {
        return percent_decoded(encoded);
    }
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    body["task_id"].as_str().unwrap_or_default().to_owned()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
        let digits = std::str::from_utf8(&digits).unwrap();
        decoded.push(u8::from_str_radix(digits, 16).unwrap());
    }
    String::from_utf8(decoded).unwrap()
}
