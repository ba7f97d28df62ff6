use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{BoxError, Service};

use super::{
    ApiKey, ClientError,
    base::{self, InvalidBaseUrl, KIE_AI},
    rate::{Lane, Rate},
    spacing::Spacing,
};
use crate::{
    event::TaskId,
    product::{Product, Voice, VoiceEvent},
    util::tally::Tally,
};

/// Asks the provider's API about tasks of any product, through any tower HTTP client.
///
/// [`SunoClient::https`] brings a client of its own; [`SunoClient::new`] takes any
/// `Service<http::Request<Full<Bytes>>>`, such as one with layers for retries or logs around it, or
/// one with another body type behind `map_request`. All clones share one rate, and what a 429
/// says holds for all of them.
///
/// It is a [`Confirm`](crate::Confirm): give it to [`SunoCallbackLayer::confirm`](crate::SunoCallbackLayer::confirm).
///
/// # Cancellation safety
///
/// Dropping a future of this client gives up its request and nothing else.
///
/// # Example
///
/// ```
/// use suno_callback::client::{ApiKey, SunoClient};
/// use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer};
///
/// # fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// let client = SunoClient::https(ApiKey::new("key")?)?;
/// let layer = SunoCallbackLayer::new(SigningKey::new("the key of the settings page")?, MemoryStore::default())
///     .confirm(client);
/// # Ok(()) }
/// # demo().unwrap();
/// ```
pub struct SunoClient<S> {
    /// Behind a lock, so that a service that is not `Sync` will do.
    pub(super) service: Arc<Mutex<S>>,
    pub(super) key: ApiKey,
    pub(super) base: Arc<str>,
    pub(super) user_agent: HeaderValue,
    pub(super) timeout: Duration,
    pub(super) rate: Arc<Rate>,
    pub(super) spacing: Arc<Spacing>,
    /// The tasks that a callback was confirmed about.
    pub(super) asked: Arc<Mutex<Tally>>,
}

impl<S> SunoClient<S> {
    /// The largest answer that is read, in bytes, where the product's own callbacks are small;
    /// otherwise twice what one of those may have.
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
            spacing: Arc::default(),
            asked: Arc::new(Mutex::new(Tally::new())),
        }
    }

    /// Asks another provider: [`KIE_AI`] (the default), [`SUNOAPI_ORG`](super::SUNOAPI_ORG), or any
    /// `http://` or `https://` URL below which `/api/v1` lies. The API key goes there.
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
    /// As a [`Confirm`](crate::Confirm) the layer's own time counts too.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// At most `requests` in each `span`, evenly spread, by all clones together. Default: 5 a
    /// second. The provider names no limit for questions; for submissions it is 20 in 10 s. Zero
    /// requests count as one.
    ///
    /// About one task it is 3 a second at most, whatever this says.
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

impl<S, B> SunoClient<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// The record of a task of `product`, from the endpoint that the product names. `None` when
    /// there is none yet, as for a young task; and for a task that the provider does not know.
    ///
    /// # Errors
    ///
    /// A [`ClientError`]; [`ClientError::NoRecords`] for a product without an endpoint.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use suno_callback::client::{ApiKey, SunoClient};
    /// use suno_callback::product::Voice;
    /// use suno_callback::TaskId;
    ///
    /// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = SunoClient::https(ApiKey::new("key")?)?;
    /// let task = TaskId::new("the id that the submission returned")?;
    /// if let Some(record) = client.record(&Voice::validate(), &task).await? {
    ///     println!("{record:?}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn record<P: Product>(
        &self,
        product: &P,
        task: &TaskId,
    ) -> Result<Option<P::Event>, ClientError> {
        self.space(task).await?;
        self.wait(Lane::First).await?;
        self.fetch(product, task).await
    }

    /// [`record`](Self::record) of a task that `POST /api/v1/voice/generate` returned.
    ///
    /// # Errors
    ///
    /// A [`ClientError`].
    pub async fn record_info(&self, task: &TaskId) -> Result<Option<VoiceEvent>, ClientError> {
        self.record(&Voice::generate(), task).await
    }

    /// [`record`](Self::record) of a task that `POST /api/v1/voice/validate` or `/regenerate`
    /// returned.
    ///
    /// # Errors
    ///
    /// A [`ClientError`].
    pub async fn validate_info(&self, task: &TaskId) -> Result<Option<VoiceEvent>, ClientError> {
        self.record(&Voice::validate(), task).await
    }

    /// `POST /api/v1/voice/check-voice`: whether the voice of a task can be used.
    ///
    /// # Errors
    ///
    /// A [`ClientError`].
    pub async fn check_voice(&self, task: &TaskId) -> Result<bool, ClientError> {
        let body = serde_json::json!({ "task_id": task.as_str() }).to_string();
        let request = self.request(Method::POST, "/api/v1/voice/check-voice", body)?;
        self.wait(Lane::First).await?;
        self.send(request, Self::MAX_ANSWER).await?.is_available()
    }
}

impl<S> Clone for SunoClient<S> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            key: self.key.clone(),
            base: Arc::clone(&self.base),
            user_agent: self.user_agent.clone(),
            timeout: self.timeout,
            rate: Arc::clone(&self.rate),
            spacing: Arc::clone(&self.spacing),
            asked: Arc::clone(&self.asked),
        }
    }
}

impl<S> fmt::Debug for SunoClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SunoClient")
            .field("base", &self.base)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
