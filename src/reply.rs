use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use crate::rejection::Rejection;

/// What became of an event that was not refused.
///
/// The layer puts it into the extensions of its response, beside or instead of a
/// [`Rejection`](crate::Rejection).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Disposition {
    /// 200: the handler succeeded, and that is recorded.
    Accepted,
    /// 200: the handler succeeded; recording it goes on in the background.
    CommitDeferred,
    /// 200: the handler succeeded, but its claim had passed to another meanwhile, whose record
    /// stands. The handler may have run twice.
    ClaimLost,
    /// 200: it was handled before.
    Duplicate,
    /// 200: the task had already succeeded, so nothing else of it matters.
    Late,
    /// 200: the task had already succeeded with another voice. Reported to the conflict hook.
    Conflict,
    /// The handler answered something else than success, and the claim was released.
    HandlerFailed,
}

impl Disposition {
    /// A short constant name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::CommitDeferred => "commit_deferred",
            Self::ClaimLost => "claim_lost",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Conflict => "conflict",
            Self::HandlerFailed => "handler_failed",
        }
    }
}

pin_project! {
    /// The body of the layer's responses: the handler's own, or a small constant one.
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProject]
    enum Kind<B> {
        Handler { #[pin] body: B },
        Layer { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn of_handler(body: B) -> Self {
        let kind = Kind::Handler { body };
        Self { kind }
    }

    fn constant(json: &'static str) -> Self {
        let body = Full::new(Bytes::from_static(json.as_bytes()));
        let kind = Kind::Layer { body };
        Self { kind }
    }
}

/// No bytes: what a layer in front answers with when it gives up on its own.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::constant("")
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProject::Handler { body } => body.poll_frame(cx),
            KindProject::Layer { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Handler { body } => body.is_end_stream(),
            Kind::Layer { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Handler { body } => body.size_hint(),
            Kind::Layer { body } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

/// The reply to an event that needs no handler.
pub(crate) fn received<B>(disposition: Disposition) -> Response<ResponseBody<B>> {
    let mut response = json(StatusCode::OK, r#"{"status":"received"}"#);
    response.extensions_mut().insert(disposition);
    response
}

/// The reply to a request that is refused, or whose handler is not done.
pub(crate) fn refused<B>(rejection: Rejection) -> Response<ResponseBody<B>> {
    let status = rejection.status();
    let mut response = json(status, refusal(status));
    let headers = response.headers_mut();
    match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        _ => {}
    }
    response.extensions_mut().insert(rejection);
    response
}

/// The reply of a handler. Success is exactly 200, the only status that the provider counts. All
/// else is the handler's own, unless a client could take it for an interim answer or follow it
/// somewhere.
pub(crate) fn handled<B>(response: Response<B>, how: Disposition) -> Response<ResponseBody<B>> {
    let mut response = response.map(ResponseBody::of_handler);
    let status = response.status();
    if status.is_success() {
        *response.status_mut() = StatusCode::OK;
    } else if status.is_informational() || status.is_redirection() {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response.extensions_mut().insert(how);
    response
}

fn json<B>(status: StatusCode, body: &'static str) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::constant(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Nothing of the request, and nothing that tells a sender which check it failed.
fn refusal(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => r#"{"error":"bad request"}"#,
        StatusCode::UNAUTHORIZED => r#"{"error":"unauthorized"}"#,
        StatusCode::METHOD_NOT_ALLOWED => r#"{"error":"method not allowed"}"#,
        StatusCode::REQUEST_TIMEOUT => r#"{"error":"request timeout"}"#,
        StatusCode::PAYLOAD_TOO_LARGE => r#"{"error":"payload too large"}"#,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => r#"{"error":"unsupported media type"}"#,
        StatusCode::INTERNAL_SERVER_ERROR => r#"{"error":"internal server error"}"#,
        _ => r#"{"error":"try again later"}"#,
    }
}
