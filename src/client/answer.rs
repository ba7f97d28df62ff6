//! Reads what the provider's API answers.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use super::error::ClientError;
use crate::{
    event::{InvalidEvent, TaskId, repaired},
    product::Product,
};

/// A body whose envelope says 200.
pub(super) struct Answer {
    body: Bytes,
    data: Value,
}

impl Answer {
    /// Checks the status and the `code` of the body: both must say 200.
    pub(super) fn read(status: StatusCode, body: Bytes) -> Result<Self, ClientError> {
        if status != StatusCode::OK {
            return Err(ClientError::of(status.as_u16().into()));
        }
        let mut envelope = json(&body).ok_or(ClientError::Unreadable)?;
        match envelope.get("code").and_then(whole) {
            Some(200) => {}
            Some(code) => return Err(ClientError::of(code)),
            None => return Err(ClientError::Unreadable),
        }
        let data = envelope.get_mut("data").map(Value::take);
        let data = data.unwrap_or_default();
        Ok(Self { body, data })
    }

    /// The record of `task`; `None` where there is none yet.
    pub(super) fn record<P: Product>(
        self,
        product: &P,
        task: &TaskId,
    ) -> Result<Option<P::Event>, ClientError> {
        if self.data.is_null() {
            return Ok(None);
        }
        if !self.data.is_object() {
            return Err(ClientError::Unreadable);
        }
        match product.parse_record(task, &self.body) {
            Ok(record) => Ok(Some(record)),
            Err(InvalidEvent::TaskIdsDiffer) => Err(ClientError::WrongTask),
            Err(_) => Err(ClientError::Unreadable),
        }
    }

    /// `data.isAvailable`.
    pub(super) fn is_available(&self) -> Result<bool, ClientError> {
        let available = self.data.get("isAvailable").and_then(Value::as_bool);
        available.ok_or(ClientError::Unreadable)
    }
}

/// Damage in a text that decides nothing must not make a task unreadable.
fn json(body: &[u8]) -> Option<Value> {
    let plain = serde_json::from_slice(body).ok();
    plain.or_else(|| serde_json::from_str(&repaired(body)?).ok())
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

/// `Retry-After` in seconds. The form with a date is not obeyed: it would need a trusted clock.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
