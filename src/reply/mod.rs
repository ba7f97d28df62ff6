//! What the layer answers, and what became of an event, for whoever needs more than a status.

mod answer;
mod body;
mod disposition;
mod rejection;

pub use self::{body::ResponseBody, disposition::Disposition, rejection::Rejection};

pub(crate) use self::answer::Answer;

use http::{HeaderValue, Response, StatusCode, header};

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
