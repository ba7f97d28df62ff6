//! Plays the provider: bodies, signatures, and one HTTP client.

#[allow(dead_code)] // `quickstart` reads nothing
pub mod documented;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;
use suno_callback::{CallbackKind, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the provider would say about a task.
#[derive(Clone)]
pub struct Callback {
    pub kind: CallbackKind,
    pub task_id: String,
    pub status: String,
    /// The voice id, or the phrase of a validation.
    pub result: String,
}

impl Callback {
    #[allow(dead_code)] // `send` fills the fields itself
    pub fn new(task_id: &str, status: &str, voice_id: &str) -> Self {
        Self {
            kind: CallbackKind::Generate,
            task_id: task_id.into(),
            status: status.into(),
            result: voice_id.into(),
        }
    }

    pub fn body(&self) -> Bytes {
        let failed = matches!(self.status.as_str(), "fail" | "processing_validate_fail");
        let result = match self.kind {
            CallbackKind::Validate => "validateInfo",
            _ => "voiceId",
        };
        let body = json!({
            "code": if failed { 500 } else { 200 },
            "msg": if failed { "failed" } else { "success" },
            "data": {
                "taskId": self.task_id,
                result: self.result,
                "status": self.status,
                "errorCode": if failed { Some(500) } else { None },
                "errorMessage": if failed { "something went wrong" } else { "" },
            },
        });
        Bytes::from(body.to_string())
    }
}

/// A header pair: what the provider signs, and all that it signs.
#[derive(Clone)]
pub struct Pair {
    pub timestamp: u64,
    pub signature: String,
}

impl Pair {
    pub fn sign(key: &SigningKey, task_id: &str, timestamp: u64) -> Self {
        let signature = key.sign(task_id, timestamp);
        Self {
            timestamp,
            signature,
        }
    }
}

pub fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

pub struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    #[allow(dead_code)] // one of the examples reads them
    pub headers: HeaderMap,
}

impl Sender {
    /// How long the provider waits.
    pub const PATIENCE: Duration = Duration::from_secs(15);

    pub fn new(uri: Uri) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, uri }
    }

    pub async fn send(&self, pair: &Pair, body: Bytes) -> Result<Answer, BoxError> {
        let request = Request::post(&self.uri)
            .header("content-type", "application/json")
            .header(TIMESTAMP_HEADER, pair.timestamp)
            .header(SIGNATURE_HEADER, &pair.signature)
            .body(Full::new(body))?;
        let exchange = async {
            let response = self.client.request(request).await?;
            let (head, body) = response.into_parts();
            body.collect().await?;
            Ok::<_, BoxError>(Answer {
                status: head.status,
                headers: head.headers,
            })
        };
        tokio::time::timeout(Self::PATIENCE, exchange).await?
    }
}
