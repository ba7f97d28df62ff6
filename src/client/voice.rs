use std::{
    error::Error,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;
use tower::{BoxError, Service};

use super::{
    ApiKey, ClientError,
    answer::{self, Answer},
    base::{self, InvalidBaseUrl, KIE_AI},
    rate::{Lane, Rate},
};
use crate::{
    confirm::{Confirm, Confirmation},
    event::{CallbackKind, TaskId, VoiceEvent},
    util::{log, tally::Tally},
};

/// Asks the provider's API about voices, through any tower HTTP client.
///
/// [`VoiceClient::https`] brings a client of its own; [`VoiceClient::new`] takes any
/// `Service<http::Request<Full<Bytes>>>`, such as one with layers for retries or logs around it, or
/// one with another body type behind `map_request`. All clones share one rate, and what a 429
/// says holds for all of them.
///
/// It is a [`Confirm`]: give it to [`SunoCallbackLayer::confirm`](crate::SunoCallbackLayer::confirm).
///
/// # Cancellation safety
///
/// Dropping a future of this client gives up its request and nothing else.
///
/// # Example
///
/// ```
/// use suno_callback::client::{ApiKey, VoiceClient};
/// use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer};
///
/// # fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// let client = VoiceClient::https(ApiKey::new("key")?)?;
/// let layer = SunoCallbackLayer::new(SigningKey::new("the key of the settings page")?, MemoryStore::default())
///     .confirm(client);
/// # Ok(()) }
/// # demo().unwrap();
/// ```
pub struct VoiceClient<S> {
    /// Behind a lock, so that a service that is not `Sync` will do.
    service: Arc<Mutex<S>>,
    key: ApiKey,
    base: Arc<str>,
    user_agent: HeaderValue,
    timeout: Duration,
    rate: Arc<Rate>,
    /// The tasks that a callback was confirmed about.
    asked: Arc<Mutex<Tally>>,
}

impl<S> VoiceClient<S> {
    /// The largest answer that is read, in bytes; a real record has some hundred.
    pub const MAX_ANSWER: usize = 64 * 1024;

    /// Asks kie.ai through `service`.
    pub fn new(service: S, key: ApiKey) -> Self {
        Self {
            service: Arc::new(Mutex::new(service)),
            key,
            base: KIE_AI.into(),
            user_agent: HeaderValue::from_static(concat!(
                "suno-callback/",
                env!("CARGO_PKG_VERSION")
            )),
            timeout: Duration::from_secs(10),
            rate: Arc::new(Rate::new(5, Duration::from_secs(1))),
            asked: Arc::new(Mutex::new(Tally::new())),
        }
    }

    /// Asks another provider: [`KIE_AI`] (the default), [`SUNOAPI_ORG`](super::SUNOAPI_ORG), or any `http://` or
    /// `https://` URL below which `/api/v1/voice` lies. The API key goes there.
    ///
    /// # Errors
    ///
    /// [`InvalidBaseUrl`] when it is no such URL, or when what is put behind it would be lost: it
    /// has a query, a fragment, or the path of the API itself.
    pub fn base_url(mut self, base: &str) -> Result<Self, InvalidBaseUrl> {
        self.base = base::checked(base)?.into();
        Ok(self)
    }

    /// Names the application. Default: this crate and its version. One is always sent, because the
    /// provider's front was seen to refuse requests without any.
    pub fn user_agent(mut self, user_agent: HeaderValue) -> Self {
        self.user_agent = user_agent;
        self
    }

    /// How long one request may take, and how long it may wait for its turn. Default 10 s each.
    /// As a [`Confirm`] the layer's own time counts too.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// At most `requests` in each `span`, evenly spread, by all clones together. Default: 5 a
    /// second. The provider names no limit for questions; for submissions it is 20 in 10 s. Zero
    /// requests count as one.
    ///
    /// Where more wait than that, of eight turns five go to callbacks of tasks that were not asked
    /// about before, and to what the application asks; two go to the polls of reconcilers and of
    /// what a layer keeps; one goes to callbacks of tasks that were asked about in the last minutes.
    /// A turn that nobody of its kind wants is another's. So a flood of captured callbacks of
    /// pending tasks leaves seven turns to the others.
    pub fn rate(mut self, requests: u32, span: Duration) -> Self {
        self.rate = Arc::new(Rate::new(requests, span));
        self
    }
}

impl<S, B> VoiceClient<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// `GET /api/v1/voice/record-info`: the record of a task that `generate` returned. `None` when
    /// there is none yet, as for a young task.
    ///
    /// # Errors
    ///
    /// A [`ClientError`].
    pub async fn record_info(&self, task: &TaskId) -> Result<Option<VoiceEvent>, ClientError> {
        self.record(CallbackKind::Generate, task).await
    }

    /// `GET /api/v1/voice/validate-info`: the record of a task that `validate` or `regenerate`
    /// returned. `None` when there is none yet.
    ///
    /// # Errors
    ///
    /// A [`ClientError`].
    pub async fn validate_info(&self, task: &TaskId) -> Result<Option<VoiceEvent>, ClientError> {
        self.record(CallbackKind::Validate, task).await
    }

    /// `POST /api/v1/voice/check-voice`: whether the voice of a task can be used.
    ///
    /// # Errors
    ///
    /// A [`ClientError`].
    pub async fn check_voice(&self, task: &TaskId) -> Result<bool, ClientError> {
        let body = serde_json::json!({ "task_id": task.as_str() }).to_string();
        let request = self.request(Method::POST, "check-voice", body)?;
        self.wait(Lane::First).await?;
        self.send(request).await?.is_available()
    }

    async fn record(
        &self,
        kind: CallbackKind,
        task: &TaskId,
    ) -> Result<Option<VoiceEvent>, ClientError> {
        self.wait(Lane::First).await?;
        self.fetch(kind, task).await
    }

    /// The record, without waiting for a turn.
    async fn fetch(
        &self,
        kind: CallbackKind,
        task: &TaskId,
    ) -> Result<Option<VoiceEvent>, ClientError> {
        let endpoint = match kind {
            CallbackKind::Generate => "record-info",
            CallbackKind::Validate => "validate-info",
        };
        let id = utf8_percent_encode(task.as_str(), UNRESERVED);
        let path = format!("{endpoint}?taskId={id}");
        let request = self.request(Method::GET, &path, String::new())?;
        self.send(request).await?.record(kind, task)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1/voice/{path}", self.base))
            .header(header::AUTHORIZATION, self.key.bearer())
            .header(header::USER_AGENT, &self.user_agent)
            .header(header::ACCEPT, JSON);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, JSON);
        }
        let request = request.body(Full::from(body));
        request.map_err(|error| ClientError::Transport(error.into()))
    }

    async fn wait(&self, lane: Lane) -> Result<(), ClientError> {
        let turn = timeout(self.timeout, self.rate.turn(lane)).await;
        turn.map_err(|_| ClientError::Busy)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let exchange = timeout(self.timeout, self.exchange(request)).await;
        exchange.unwrap_or(Err(ClientError::TimedOut))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let mut service = self.service();
        let transport = |error: S::Error| ClientError::Transport(error.into());
        poll_fn(|cx| service.poll_ready(cx))
            .await
            .map_err(transport)?;
        let response = service.call(request).await.map_err(transport)?;
        let (head, body) = response.into_parts();
        // Of a refusal the status is enough.
        let body = match head.status.is_success() {
            true => Limited::new(body, Self::MAX_ANSWER).collect().await,
            false => Ok(Default::default()),
        };
        let body = body.map_err(broken)?.to_bytes();
        let answer = Answer::read(head.status, body);
        self.learn(answer, answer::retry_after(&head.headers))
    }

    /// What an answer means for the requests that come next.
    fn learn(
        &self,
        answer: Result<Answer, ClientError>,
        wish: Option<Duration>,
    ) -> Result<Answer, ClientError> {
        match answer {
            Err(ClientError::TooManyRequests { .. }) => Err(ClientError::TooManyRequests {
                retry_after: self.rate.back_off(wish),
            }),
            answer => {
                self.rate.recover();
                answer
            }
        }
    }

    fn asked(&self) -> MutexGuard<'_, Tally> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn service(&self) -> S {
        let service = self.service.lock();
        service.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

const JSON: &str = "application/json";

/// Everything but what RFC 3986 calls unreserved is encoded.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn broken(error: Box<dyn Error + Send + Sync>) -> ClientError {
    match error.is::<LengthLimitError>() {
        true => ClientError::TooLarge,
        false => ClientError::Transport(error),
    }
}

/// Asks the endpoint that the kind of the callback names.
impl<S, B> Confirm for VoiceClient<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    async fn confirm(&self, claimed: &VoiceEvent) -> Confirmation {
        let subject = (claimed.kind(), claimed.task_id());
        let lane = match self.asked().has(subject) {
            true => Lane::Again,
            false => Lane::First,
        };
        if let Err(error) = self.wait(lane).await {
            return confirmation(claimed.task_id(), Err(error));
        }
        let record = self.fetch(claimed.kind(), claimed.task_id()).await;
        if record.is_ok() {
            self.asked().note(subject);
        }
        confirmation(claimed.task_id(), record)
    }

    async fn turn(&self) {
        self.rate.turn(Lane::Poll).await;
    }

    async fn look_up(&self, kind: CallbackKind, task: &TaskId) -> Confirmation {
        confirmation(task, self.fetch(kind, task).await)
    }
}

fn confirmation(task: &TaskId, record: Result<Option<VoiceEvent>, ClientError>) -> Confirmation {
    match record {
        Ok(Some(record)) => Confirmation::Confirmed(record),
        Ok(None) => Confirmation::Pending,
        Err(error) => {
            log::question_failed(task.as_str(), error.as_str(), &error);
            Confirmation::Unavailable
        }
    }
}

impl<S> Clone for VoiceClient<S> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            key: self.key.clone(),
            base: Arc::clone(&self.base),
            user_agent: self.user_agent.clone(),
            timeout: self.timeout,
            rate: Arc::clone(&self.rate),
            asked: Arc::clone(&self.asked),
        }
    }
}

impl<S> fmt::Debug for VoiceClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoiceClient")
            .field("base", &self.base)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
