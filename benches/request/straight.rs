//! What the layer's contract asks of any service, straight ahead: a good head, the task's signature,
//! one claim and its commit, event and delivery in the request's extensions, the outcome in those of
//! the response. Nothing is waited for, renewed, drained, mended, counted or caught, no twin and no
//! panic is thought of, and what it does not expect it does not survive.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    future::{Future, Ready, ready},
    ops::Range,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use axum::http::{
    Extensions, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::body::Body;
use serde::Deserialize;
use sha2::Sha256;
use suno_callback::{SIGNATURE_HEADER, TIMESTAMP_HEADER};
use tower::Service;

use crate::template::{KEY, now};

type Reply = Response<Full<Bytes>>;

/// Around a handler that is ready at once.
pub struct Straight<S> {
    inner: S,
    /// Its midstates are computed once.
    key: Hmac<Sha256>,
    done: Mutex<HashMap<String, bool>>,
}

/// The event that a handler gets, in the body's own memory.
#[derive(Clone)]
struct Event(Arc<Read>);

/// The delivery, which has the event's allocation.
#[derive(Clone)]
struct Delivery(Arc<Read>);

struct Read {
    body: Bytes,
    task_id: Range<usize>,
    voice_id: Range<usize>,
    signed_at: u64,
}

/// What became of it.
#[derive(Clone, Copy)]
enum Outcome {
    Accepted,
    Duplicate,
    Refused,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    task_id: &'a str,
    voice_id: &'a str,
}

/// A handler that looks at both.
pub fn in_tower() -> impl Service<Request<Full<Bytes>>, Error = Infallible> {
    Straight {
        inner: tower::service_fn(on_event),
        key: Hmac::new_from_slice(KEY.as_bytes()).expect("any length"),
        done: Mutex::default(),
    }
}

async fn on_event(request: Request<Full<Bytes>>) -> Result<Reply, Infallible> {
    let given = |it: &Extensions| {
        Some((
            it.get::<Event>()?.clone(),
            it.get::<Delivery>()?.0.signed_at,
        ))
    };
    let (event, signed_at) = given(request.extensions()).expect("an event and its delivery");
    assert!(!event.0.voice_id.is_empty() && signed_at > 0);
    Ok(Response::new(Full::default()))
}

impl<S> Service<Request<Full<Bytes>>> for Straight<S>
where
    S: Service<Request<Full<Bytes>>, Response = Reply, Error = Infallible>,
{
    type Response = Reply;
    type Error = Infallible;
    type Future = Ready<Result<Reply, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(match self.read(&mut request) {
            Some(read) => self.hand_over(request, read),
            None => reply(StatusCode::UNAUTHORIZED, Outcome::Refused),
        }))
    }
}

impl<S> Straight<S>
where
    S: Service<Request<Full<Bytes>>, Response = Reply, Error = Infallible>,
{
    fn read(&self, request: &mut Request<Full<Bytes>>) -> Option<Read> {
        let body = whole(request.body_mut())?;
        let (signed_at, signature) = head(request)?;
        let text = str::from_utf8(&body).ok()?;
        let Envelope { data } = serde_json::from_str(text).ok()?;
        let mut mac = self.key.clone();
        mac.update(data.task_id.as_bytes());
        mac.update(b".");
        mac.update(signed_at.as_bytes());
        mac.verify_slice(&signature).ok()?;
        Some(Read {
            task_id: within(text, data.task_id),
            voice_id: within(text, data.voice_id),
            signed_at: signed_at.parse().ok()?,
            body: body.clone(),
        })
    }

    fn hand_over(&mut self, mut request: Request<Full<Bytes>>, read: Read) -> Reply {
        *request.body_mut() = Full::new(read.body.clone());
        let read = Arc::new(read);
        let task_id = &read.body[read.task_id.clone()];
        let task_id = str::from_utf8(task_id).expect("a text");
        if !self.claim(task_id) {
            return reply(StatusCode::OK, Outcome::Duplicate);
        }
        request.extensions_mut().insert(Event(Arc::clone(&read)));
        request.extensions_mut().insert(Delivery(Arc::clone(&read)));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(mut response)) = pin!(self.inner.call(request)).poll(&mut context)
        else {
            unreachable!("a handler that waits does not belong here");
        };
        self.commit(task_id);
        response.extensions_mut().insert(Outcome::Accepted);
        response
    }

    fn claim(&self, task_id: &str) -> bool {
        let mut done = self.done.lock().expect("nobody panics");
        match done.entry(task_id.to_owned()) {
            Entry::Vacant(vacant) => {
                vacant.insert(false);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    fn commit(&self, task_id: &str) {
        if let Some(is_done) = self.done.lock().expect("nobody panics").get_mut(task_id) {
            *is_done = true;
        }
    }
}

/// The signed time and the signature, where method and time are good.
fn head(request: &Request<Full<Bytes>>) -> Option<(&str, [u8; 32])> {
    let (mut signed_at, mut signature) = (None, None);
    for (name, value) in request.headers() {
        if *name == TIMESTAMP_HEADER {
            signed_at = Some(value);
        } else if *name == SIGNATURE_HEADER {
            signature = Some(value);
        }
    }
    let (signed_at, signature) = (signed_at?.to_str().ok()?, signature?.as_bytes());
    let mut decoded = [0; 33];
    let length = STANDARD.decode_slice(signature, &mut decoded).ok()?;
    let decoded = decoded[..length].try_into().ok()?;
    let is_fresh = now().abs_diff(signed_at.parse().ok()?) <= 300;
    (is_fresh && request.method() == Method::POST).then_some((signed_at, decoded))
}

/// A body that is there in one piece.
fn whole(body: &mut Full<Bytes>) -> Option<Bytes> {
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(body).poll_frame(&mut context) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        _ => None,
    }
}

fn within(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start..start + part.len()
}

fn reply(status: StatusCode, outcome: Outcome) -> Reply {
    let mut response = Response::new(Full::from(r#"{"status":"received"}"#));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response.extensions_mut().insert(outcome);
    response
}
