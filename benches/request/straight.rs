//! What the layer's contract asks of any service, straight ahead: a good head, the task's signature,
//! one claim and its commit, event and delivery in the request's extensions, the outcome in those of
//! the response. Nothing is waited for, renewed, drained, mended, counted or caught, no twin and no
//! panic is thought of, and what it does not expect it does not survive.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    future::{Ready, ready},
    ops::Range,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use axum::http::{
    Extensions, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::FutureExt;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use suno_callback::{
    MemoryStore, SIGNATURE_HEADER, TIMESTAMP_HEADER,
    store::{Claim, DedupStore, Held, Owner, Record, SlotKey},
};
use tower::Service;

use crate::template::{KEY, now};

type Reply = Response<Full<Bytes>>;

/// Around a handler that is ready at once.
struct Straight<S, M> {
    inner: S,
    /// Its midstates are computed once.
    key: Hmac<Sha256>,
    memory: M,
}

/// Remembers what was handled.
trait Memory {
    type Held;

    /// What its commit needs, unless somebody had it before.
    fn claim(&self, task_id: &str) -> Option<Self::Held>;

    fn commit(&self, task_id: &str, held: Self::Held);
}

/// Until the process ends, however many there are.
#[derive(Default)]
struct ForEver(Mutex<HashMap<String, bool>>);

/// Within bounds, until a time, and under a lease: the layer's store, and a name for each slot.
struct Bounded {
    store: MemoryStore,
    /// One block, compressed once and for all.
    name: Sha256,
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

/// A handler that looks at both, with a map.
pub fn on_a_map() -> impl Service<Request<Full<Bytes>>, Error = Infallible> {
    with(ForEver::default())
}

/// The same with the layer's store.
pub fn on_the_store() -> impl Service<Request<Full<Bytes>>, Error = Infallible> {
    with(Bounded {
        store: MemoryStore::default(),
        name: Sha256::new_with_prefix([0; 64]),
    })
}

fn with(memory: impl Memory) -> impl Service<Request<Full<Bytes>>, Error = Infallible> {
    Straight {
        inner: tower::service_fn(on_event),
        key: Hmac::new_from_slice(KEY.as_bytes()).expect("any length"),
        memory,
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

impl<S, M> Service<Request<Full<Bytes>>> for Straight<S, M>
where
    S: Service<Request<Full<Bytes>>, Response = Reply, Error = Infallible>,
    M: Memory,
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

impl<S, M> Straight<S, M>
where
    S: Service<Request<Full<Bytes>>, Response = Reply, Error = Infallible>,
    M: Memory,
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
        let Some(held) = self.memory.claim(task_id) else {
            return reply(StatusCode::OK, Outcome::Duplicate);
        };
        request.extensions_mut().insert(Event(Arc::clone(&read)));
        request.extensions_mut().insert(Delivery(Arc::clone(&read)));
        let Some(Ok(mut response)) = self.inner.call(request).now_or_never() else {
            unreachable!("a handler that waits does not belong here");
        };
        self.memory.commit(task_id, held);
        response.extensions_mut().insert(Outcome::Accepted);
        response
    }
}

impl Memory for ForEver {
    type Held = ();

    fn claim(&self, task_id: &str) -> Option<()> {
        let mut done = self.0.lock().expect("nobody panics");
        match done.entry(task_id.to_owned()) {
            Entry::Vacant(vacant) => {
                vacant.insert(false);
                Some(())
            }
            Entry::Occupied(_) => None,
        }
    }

    fn commit(&self, task_id: &str, (): ()) {
        if let Some(is_done) = self.0.lock().expect("nobody panics").get_mut(task_id) {
            *is_done = true;
        }
    }
}

impl Memory for Bounded {
    type Held = (SlotKey, Held);

    fn claim(&self, task_id: &str) -> Option<Self::Held> {
        let name = self.name.clone().chain_update(task_id).finalize();
        let slot = SlotKey::from(<[u8; 32]>::from(name));
        let owner = Owner::from([1; 16]);
        let claim = self.store.claim(&slot, owner, Duration::from_secs(5));
        match claim.now_or_never() {
            Some(Ok(Claim::Granted(held))) => Some((slot, held)),
            _ => None,
        }
    }

    fn commit(&self, _: &str, (slot, held): Self::Held) {
        let record = Record::try_from(&[1; 25][..]).expect("short enough");
        let retain = Duration::from_secs(24 * 3600);
        let commit = self.store.commit(&slot, &held, &record, retain);
        assert!(matches!(commit.now_or_never(), Some(Ok(_))));
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
    body.frame().now_or_never()??.ok()?.into_data().ok()
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
