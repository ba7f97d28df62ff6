//! One question to the API: its turn, its request, and what the answer means for the next.

use std::{error::Error, future::poll_fn, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{Instant, sleep_until, timeout};
use tower::{BoxError, Service};

use super::{
    ClientError, SunoClient,
    answer::{self, Answer},
    rate::Lane,
};
use crate::{event::TaskId, product::Product, util::lock};

impl<S, B> SunoClient<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// The record, without waiting for a turn.
    pub(super) async fn fetch<P: Product>(
        &self,
        product: &P,
        task: &TaskId,
    ) -> Result<Option<P::Event>, ClientError> {
        let path = product.record_path().ok_or(ClientError::NoRecords)?;
        let id = utf8_percent_encode(task.as_str(), UNRESERVED);
        let path = format!("{path}?taskId={id}");
        let request = self.request(Method::GET, &path, String::new())?;
        let most = Self::MAX_ANSWER.max(2 * product.body_limit());
        self.send(request, most).await?.record(product, task)
    }

    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, self.key.bearer())
            .header(header::USER_AGENT, &self.user_agent)
            .header(header::ACCEPT, JSON);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, JSON);
        }
        let request = request.body(Full::from(body));
        request.map_err(|error| ClientError::Transport(error.into()))
    }

    /// Waits until the task may be asked about again.
    pub(super) async fn space(&self, task: &TaskId) -> Result<(), ClientError> {
        let due = self.spacing.reserve(task);
        match due.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Ok(()),
            wait if wait > self.timeout => Err(ClientError::Busy),
            _ => {
                sleep_until(due).await;
                Ok(())
            }
        }
    }

    pub(super) async fn wait(&self, lane: Lane) -> Result<(), ClientError> {
        let turn = timeout(self.timeout, self.rate.turn(lane)).await;
        turn.map_err(|_| ClientError::Busy)
    }

    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Answer, ClientError> {
        let exchange = timeout(self.timeout, self.exchange(request, most)).await;
        exchange.unwrap_or(Err(ClientError::TimedOut))
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Answer, ClientError> {
        let mut service = self.service();
        let transport = |error: S::Error| ClientError::Transport(error.into());
        poll_fn(|cx| service.poll_ready(cx))
            .await
            .map_err(transport)?;
        let response = service.call(request).await.map_err(transport)?;
        let (head, body) = response.into_parts();
        // Of a refusal the status is enough.
        let body = match head.status.is_success() {
            true => Limited::new(body, most).collect().await,
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

    fn service(&self) -> S {
        lock(&self.service).clone()
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
