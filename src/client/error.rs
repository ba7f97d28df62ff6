use std::{fmt, time::Duration};

use tower::BoxError;

/// Why the provider's API gave no answer to go by.
///
/// The HTTP status and the `code` in the body are both looked at: the provider sends errors also
/// with status 200. Numbers as documented for the family of APIs; the voice pages have no list of
/// their own (<https://docs.kie.ai/suno-api/generate-music>).
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// 401: the API key is wrong, or lacks the permission. Nothing helps but another key.
    Unauthorized,
    /// 402: the account has no credits left.
    NoCredits,
    /// 403: refused before the API; seen for requests without a `User-Agent`.
    Forbidden,
    /// 404: there is no such record, or none yet.
    NotFound,
    /// 422: the request is understood and cannot be met, as for a task in another state.
    Invalid,
    /// 429: too many requests. The client holds back all of them for this long: what the provider
    /// asked for, or a pause that doubles each time.
    TooManyRequests {
        /// From now on.
        retry_after: Duration,
    },
    /// 455: maintenance. Try later.
    Maintenance,
    /// 500 to 599: the provider failed. Try later.
    Server(u16),
    /// Any other number, of the HTTP status or in the body.
    Unexpected(i64),
    /// The product names no endpoint for its records: nothing was sent.
    NoRecords,
    /// The answer is not the documented JSON.
    Unreadable,
    /// The answer is larger than [`SunoClient::MAX_ANSWER`](super::SunoClient::MAX_ANSWER).
    TooLarge,
    /// The record is about another task than the one that was asked about.
    WrongTask,
    /// No answer in time.
    TimedOut,
    /// No place within the client's own rate in time: nothing was sent.
    Busy,
    /// The HTTP service failed: no connection, no TLS, a broken answer.
    Transport(BoxError),
}

impl ClientError {
    /// A short constant name for logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::NoCredits => "no_credits",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::Maintenance => "maintenance",
            Self::Server(_) => "server",
            Self::Unexpected(_) => "unexpected",
            Self::NoRecords => "no_records",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::WrongTask => "wrong_task",
            Self::TimedOut => "timed_out",
            Self::Busy => "busy",
            Self::Transport(_) => "transport",
        }
    }

    /// The error that a number means, be it the HTTP status or the `code` of the body. The pause
    /// after a 429 is for the caller to fill in.
    pub(super) fn of(code: i64) -> Self {
        match code {
            401 => Self::Unauthorized,
            402 => Self::NoCredits,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            422 => Self::Invalid,
            429 => Self::TooManyRequests {
                retry_after: Duration::ZERO,
            },
            455 => Self::Maintenance,
            500..=599 => u16::try_from(code).map_or(Self::Unexpected(code), Self::Server),
            _ => Self::Unexpected(code),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized => f.write_str("the provider refused the API key"),
            Self::NoCredits => f.write_str("the account has no credits left"),
            Self::Forbidden => f.write_str("the provider refused the request"),
            Self::NotFound => f.write_str("the provider has no such record"),
            Self::Invalid => f.write_str("the provider cannot meet the request"),
            Self::TooManyRequests { retry_after } => {
                write!(f, "too many requests; the next one in {retry_after:?}")
            }
            Self::Maintenance => f.write_str("the provider is under maintenance"),
            Self::Server(status) => write!(f, "the provider failed with {status}"),
            Self::Unexpected(code) => write!(f, "the provider answered with {code}"),
            Self::NoRecords => f.write_str("the product has no endpoint for records"),
            Self::Unreadable => f.write_str("the provider's answer cannot be read"),
            Self::TooLarge => f.write_str("the provider's answer is too large"),
            Self::WrongTask => f.write_str("the provider's record is about another task"),
            Self::TimedOut => f.write_str("the provider did not answer in time"),
            Self::Busy => f.write_str("too many requests wait for the provider"),
            Self::Transport(_) => f.write_str("the provider could not be reached"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Transport(error) => Some(&**error),
            _ => None,
        }
    }
}
