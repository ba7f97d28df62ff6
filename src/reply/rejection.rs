use std::fmt;

use http::StatusCode;

use crate::event::InvalidEvent;

/// Why a request was not handed to the handler, or not answered with success.
///
/// The layer puts it into the extensions of its response, where a layer outside can count it. The
/// response itself says little: to a sender that is not verified, all refusals of a signature look
/// the same.
///
/// # Example
///
/// ```
/// use suno_callback::Rejection;
///
/// fn count<B>(response: &http::Response<B>) {
///     if let Some(rejection) = response.extensions().get::<Rejection>() {
///         println!("refused: {}", rejection.as_str());
///     }
/// }
/// # count(&http::Response::new(()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// 503: the layer's [`Drain`](crate::Drain) was closed.
    ShuttingDown,
    /// 405: only POST is for us.
    Method,
    /// 415: a content type other than JSON.
    ContentType,
    /// 415: a compressed body.
    ContentEncoding,
    /// 401: a signature header is missing.
    HeaderMissing,
    /// 400: a signature header is there twice.
    HeaderRepeated,
    /// 401: the timestamp is not a number of seconds in canonical form.
    TimestampMalformed,
    /// 401: the signature is not canonical base64 of 32 bytes.
    SignatureMalformed,
    /// 401: signed too long ago.
    Stale {
        /// By how many seconds it missed the tolerance.
        late_by: u64,
    },
    /// 401: signed too far in the future.
    FromTheFuture {
        /// By how many seconds it missed the tolerance.
        early_by: u64,
    },
    /// 503: this machine's clock stands before 1970.
    ClockUnusable,
    /// 401: the URL does not carry the secret, or not exactly once.
    UrlSecretWrong,
    /// 413: the body is larger than the limit.
    BodyTooLarge,
    /// 408: the body did not arrive in time.
    BodyTooSlow,
    /// 400: the body ended in an error.
    BodyBroken,
    /// 400: the body is no event.
    InvalidEvent(InvalidEvent),
    /// 401: no key made this signature.
    SignatureWrong,
    /// 503: too many requests wait for the same event, or for events at all.
    TooManyWaiters,
    /// 503: too many different events of this task came, beside its success and its failure. One
    /// captured header pair can make them up.
    TooManyVariants,
    /// 503: another request still handles this event.
    StillInFlight,
    /// 503: the store did not answer in time, or answered with an error.
    StoreUnavailable,
    /// 503: the provider could not be asked, or does not know yet.
    Unconfirmed,
    /// 503: the handler is still running; its commit will count.
    StillRunning,
    /// 503: the handler ran longer than a detached handler may, and was ended. Nobody waits for that
    /// answer any more, so it is in the log alone.
    RanTooLong,
    /// 503: the handler was ended by the [`Drain`](crate::Drain).
    Aborted,
    /// 500: the handler panicked.
    Panicked,
    /// 500: the request came through another layer that handles the same events, and would have
    /// waited for itself. Mount the layer on the route or on its router, not on both.
    MountedTwice,
}

impl Rejection {
    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentType | Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::HeaderMissing
            | Self::TimestampMalformed
            | Self::SignatureMalformed
            | Self::Stale { .. }
            | Self::FromTheFuture { .. }
            | Self::UrlSecretWrong
            | Self::SignatureWrong => StatusCode::UNAUTHORIZED,
            Self::HeaderRepeated | Self::BodyBroken | Self::InvalidEvent(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Panicked | Self::MountedTwice => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ShuttingDown
            | Self::ClockUnusable
            | Self::TooManyWaiters
            | Self::TooManyVariants
            | Self::StillInFlight
            | Self::StoreUnavailable
            | Self::Unconfirmed
            | Self::StillRunning
            | Self::RanTooLong
            | Self::Aborted => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A short constant name for logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ShuttingDown => "shutting_down",
            Self::Method => "method",
            Self::ContentType => "content_type",
            Self::ContentEncoding => "content_encoding",
            Self::HeaderMissing => "header_missing",
            Self::HeaderRepeated => "header_repeated",
            Self::TimestampMalformed => "timestamp_malformed",
            Self::SignatureMalformed => "signature_malformed",
            Self::Stale { .. } => "stale",
            Self::FromTheFuture { .. } => "from_the_future",
            Self::ClockUnusable => "clock_unusable",
            Self::UrlSecretWrong => "url_secret_wrong",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::BodyBroken => "body_broken",
            Self::InvalidEvent(InvalidEvent::NotJson) => "not_json",
            Self::InvalidEvent(InvalidEvent::NoTaskId) => "no_task_id",
            Self::InvalidEvent(InvalidEvent::TaskIdsDiffer) => "task_ids_differ",
            Self::InvalidEvent(InvalidEvent::RepeatedKey) => "repeated_key",
            Self::InvalidEvent(InvalidEvent::TaskIdOutsideGrammar) => "task_id_outside_grammar",
            Self::SignatureWrong => "signature_wrong",
            Self::TooManyWaiters => "too_many_waiters",
            Self::TooManyVariants => "too_many_variants",
            Self::StillInFlight => "still_in_flight",
            Self::StoreUnavailable => "store_unavailable",
            Self::Unconfirmed => "unconfirmed",
            Self::StillRunning => "still_running",
            Self::RanTooLong => "ran_too_long",
            Self::Aborted => "aborted",
            Self::Panicked => "panicked",
            Self::MountedTwice => "mounted_twice",
        }
    }
}

impl From<InvalidEvent> for Rejection {
    fn from(why: InvalidEvent) -> Self {
        Self::InvalidEvent(why)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { late_by } => write!(f, "stale by {late_by} s"),
            Self::FromTheFuture { early_by } => write!(f, "from the future by {early_by} s"),
            other => f.write_str(other.as_str()),
        }
    }
}

impl std::error::Error for Rejection {}
