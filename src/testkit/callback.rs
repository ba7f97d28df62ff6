use bytes::Bytes;
use http::{HeaderValue, Method, Request, header::CONTENT_TYPE};
use http_body_util::Full;
use serde_json::Value;

use crate::{Clock, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER, config::unix_time};

/// A callback as the provider sends it, before it is signed.
///
/// The bodies have the fields, and the values beside yours, of the provider's documentation.
/// Whatever is given as text is escaped for JSON.
///
/// # Example
///
/// ```
/// use suno_callback::{SigningKey, SystemClock, testkit::Callback};
///
/// let key = SigningKey::new("a key for the tests")?;
/// let request = Callback::success("task-1", "voice-1").signed(&key, &SystemClock);
/// assert_eq!(request.headers()["x-webhook-signature"].len(), 44);
///
/// let odd = Callback::new("task-1", r#"{"taskId":"task-1","code":"what?"}"#);
/// assert_eq!(odd.task_id(), "task-1");
/// # Ok::<(), suno_callback::InvalidKey>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    task_id: String,
    body: Bytes,
}

impl Callback {
    /// Any body, to be signed for `task_id`, which need not be the one in the body.
    pub fn new(task_id: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            task_id: task_id.into(),
            body: body.into(),
        }
    }

    /// The voice is ready.
    pub fn success(task_id: &str, voice_id: &str) -> Self {
        let (task, voice) = (Value::from(task_id), Value::from(voice_id));
        Self::new(
            task_id,
            format!(
                r#"{{"code":200,"msg":"success","data":{{"taskId":{task},"voiceId":{voice},"status":"success","errorCode":null,"errorMessage":""}}}}"#
            ),
        )
    }

    /// The task has failed, with the reason in the provider's words.
    pub fn failure(task_id: &str, message: &str) -> Self {
        let (task, message) = (Value::from(task_id), Value::from(message));
        Self::new(
            task_id,
            format!(
                r#"{{"code":400,"msg":"fail","data":{{"taskId":{task},"voiceId":"","status":"fail","errorCode":500,"errorMessage":{message}}}}}"#
            ),
        )
    }

    /// The task is under way: `wait_processing`, `processing_validate`, or any other status.
    pub fn progress(task_id: &str, status: &str) -> Self {
        let (task, status) = (Value::from(task_id), Value::from(status));
        Self::new(
            task_id,
            format!(
                r#"{{"code":200,"msg":"success","data":{{"taskId":{task},"status":{status},"errorCode":null,"errorMessage":""}}}}"#
            ),
        )
    }

    /// The phrase to be spoken is ready.
    pub fn phrase(task_id: &str, phrase: &str) -> Self {
        let (task, phrase) = (Value::from(task_id), Value::from(phrase));
        Self::new(
            task_id,
            format!(
                r#"{{"code":200,"msg":"success","data":{{"taskId":{task},"validateInfo":{phrase},"status":"wait_validating","errorCode":0,"errorMessage":""}}}}"#
            ),
        )
    }

    /// The task it is signed for.
    pub fn task_id(&self) -> &str {
        &self.task_id
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// A POST to `/`, signed with `key` for the second that `clock` shows.
    ///
    /// [`SystemClock`](crate::SystemClock) for a layer with the default clock. A clock before 1970
    /// counts as 1970.
    pub fn signed(&self, key: &SigningKey, clock: &dyn Clock) -> Request<Full<Bytes>> {
        let seconds = unix_time(clock).map_or(0, |time| time.as_secs());
        let signature = key.sign(&self.task_id, seconds);
        let mut request = self.unsigned();
        let headers = request.headers_mut();
        headers.insert(TIMESTAMP_HEADER, HeaderValue::from(seconds));
        // Base64 is always a header value.
        headers.extend(HeaderValue::try_from(signature).map(|value| (SIGNATURE_HEADER, value)));
        request
    }

    /// A POST to `/` without a signature, for a layer that asks for a secret in the URL: put it
    /// there with [`Request::uri_mut`].
    pub fn unsigned(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        request
    }
}
