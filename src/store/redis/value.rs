//! What scripts are given, and what they answer.

use std::time::Duration;

use super::RedisStoreError;
use crate::store::{Record, millis::millis};

/// At least one: no time at all would remove the key.
pub(super) fn argument(span: Duration) -> String {
    millis(span).max(1).to_string()
}

pub(super) fn number<T: std::str::FromStr>(text: &[u8]) -> Result<T, RedisStoreError> {
    let text = std::str::from_utf8(text).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or(RedisStoreError::Unreadable)
}

pub(super) fn to_record(bytes: &[u8]) -> Result<Record, RedisStoreError> {
    Record::try_from(bytes).map_err(|_| RedisStoreError::Unreadable)
}
