//! What is compared.

use std::{
    convert::Infallible,
    future::Future,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use bytes::Bytes;
use cpu_time::ThreadTime;
use http_body_util::Full;
use tower::Service;

use crate::{
    by_hand, floor, mounted, peers, straight,
    template::{self, BATCH, Template, genuine, spoiled},
};

/// Runs through a batch; makes what it needs before it looks at the clock.
pub type Run = Box<dyn Fn(&[Template]) -> Duration>;

pub struct Variant {
    pub name: &'static str,
    /// Its bare inner service, by name; its own name where there is none.
    pub bare: &'static str,
    pub run: Run,
    pub templates: fn(usize) -> Vec<Template>,
    /// How many requests a batch has.
    pub count: usize,
}

pub const F0: &str = "F0";
pub const BY_HAND: &str = "axum: by hand, accepted";
pub const BY_HAND_DUPLICATE: &str = "axum: by hand, duplicate";
pub const LAYER: &str = "axum: layer at a route, accepted";
pub const LAYER_DUPLICATE: &str = "axum: layer at a route, duplicate";
pub const IN_TOWER: &str = "tower: layer, accepted";

pub const STRAIGHT: &str = "tower: the contract, straight ahead, accepted";
pub const STRAIGHT_ON_STORE: &str = "tower: the same on the layer's store, accepted";

pub const TOWER: &str = "tower: bare";
const AXUM: &str = "axum: bare";
const AXUM_STANDARD: &str = "axum: bare, webhook-* headers";
const AXUM_SESSION: &str = "axum: bare, session";

/// Every variant, each after its bare service.
pub fn variants() -> Vec<Variant> {
    [floors(), of_axum(), of_peers(), of_layer(), of_refusals()]
        .into_iter()
        .flatten()
        .collect()
}

/// An accepted event in tower, after its bare service.
pub fn of_tower(mut variants: Vec<Variant>) -> Vec<Variant> {
    variants.retain(|variant| [TOWER, IN_TOWER].contains(&variant.name));
    variants
}

fn variant(
    name: &'static str,
    bare: &'static str,
    run: Run,
    templates: fn(usize) -> Vec<Template>,
) -> Variant {
    Variant {
        name,
        bare,
        run,
        templates,
        count: BATCH,
    }
}

fn floors() -> Vec<Variant> {
    vec![
        variant(F0, F0, Box::new(floor::timed_pass), genuine),
        variant(
            TOWER,
            TOWER,
            in_tower(|| tower::service_fn(mounted::bare)),
            genuine,
        ),
        variant(STRAIGHT, TOWER, in_tower(straight::on_a_map), genuine),
        variant(
            STRAIGHT_ON_STORE,
            TOWER,
            in_tower(straight::on_the_store),
            genuine,
        ),
        variant(AXUM, AXUM, in_axum(mounted::bare_router), genuine),
        variant(
            AXUM_STANDARD,
            AXUM_STANDARD,
            in_axum(mounted::bare_router),
            template::standard,
        ),
        variant(
            AXUM_SESSION,
            AXUM_SESSION,
            in_axum(mounted::bare_router),
            template::in_sessions,
        ),
    ]
}

fn of_axum() -> Vec<Variant> {
    vec![
        variant(BY_HAND, AXUM, in_axum(by_hand::typed), genuine),
        variant(BY_HAND_DUPLICATE, AXUM, again(by_hand::typed), genuine),
        variant(
            "axum: by hand with Value, accepted",
            AXUM,
            in_axum(by_hand::untyped),
            genuine,
        ),
    ]
}

fn of_peers() -> Vec<Variant> {
    vec![
        variant(
            "axum: webhook-verify and a map",
            AXUM,
            in_axum(peers::webhook_verify),
            genuine,
        ),
        variant(
            "axum: standardwebhooks and a map",
            AXUM_STANDARD,
            in_axum(peers::standardwebhooks),
            template::standard,
        ),
        variant(
            "axum: axum-idempotent by header",
            AXUM_SESSION,
            in_axum(|| peers::axum_idempotent(true)),
            template::in_sessions,
        ),
        variant(
            "axum: axum-idempotent by hash",
            AXUM_SESSION,
            in_axum(|| peers::axum_idempotent(false)),
            template::in_sessions,
        ),
    ]
}

fn of_layer() -> Vec<Variant> {
    vec![
        variant(
            "axum: a layer that does nothing, at a route",
            AXUM,
            in_axum(mounted::nothing_at_a_route),
            genuine,
        ),
        variant(LAYER, AXUM, in_axum(mounted::at_a_route), genuine),
        variant(LAYER_DUPLICATE, AXUM, again(mounted::at_a_route), genuine),
        variant(
            "axum: layer around a router, accepted",
            AXUM,
            Box::new(|templates| {
                timed_pass(&mut mounted::around_a_router(), templates, Body::from)
            }),
            genuine,
        ),
        variant(IN_TOWER, TOWER, in_tower(mounted::in_tower), genuine),
        variant(
            "tower: layer, duplicate",
            TOWER,
            Box::new(|templates| twice(&mut mounted::in_tower(), templates, Full::new)),
            genuine,
        ),
    ]
}

/// Each named after what is wrong, in the order in which it is found.
fn of_refusals() -> Vec<Variant> {
    let refused = |name, templates| variant(name, TOWER, in_tower(mounted::in_tower), templates);
    vec![
        refused("refused: method", |count| spoiled(count, template::of_get)),
        refused("refused: stale", |count| spoiled(count, template::stale)),
        refused("refused: malformed signature", |count| {
            spoiled(count, template::malformed_signature)
        }),
        refused("refused: body too large", |count| {
            spoiled(count, template::too_large)
        }),
        refused("refused: not JSON", |count| {
            spoiled(count, template::not_json)
        }),
        refused("refused: wrong signature", |count| {
            spoiled(count, template::wrong_signature)
        }),
    ]
}

// ---- running

fn in_tower<S>(make: impl Fn() -> S + 'static) -> Run
where
    S: Service<Request<Full<Bytes>>, Error = Infallible>,
{
    Box::new(move |templates| timed_pass(&mut make(), templates, Full::new))
}

fn in_axum(make: impl Fn() -> Router + 'static) -> Run {
    Box::new(move |templates| timed_pass(&mut make(), templates, Body::from))
}

/// The second pass over a service that has seen everything before.
fn again(make: impl Fn() -> Router + 'static) -> Run {
    Box::new(move |templates| twice(&mut make(), templates, Body::from))
}

fn twice<S, B>(service: &mut S, templates: &[Template], body: fn(Bytes) -> B) -> Duration
where
    S: Service<Request<B>, Error = Infallible>,
{
    send_all(service, templates, body);
    timed_pass(service, templates, body)
}

/// Sends the templates to a service and returns the time it took. What is counted is what happens
/// in a function of this name.
#[inline(never)]
pub fn timed_pass<S, B>(service: &mut S, templates: &[Template], body: fn(Bytes) -> B) -> Duration
where
    S: Service<Request<B>, Error = Infallible>,
{
    let began = ThreadTime::now();
    send_all(service, templates, body);
    began.elapsed()
}

fn send_all<S, B>(service: &mut S, templates: &[Template], body: fn(Bytes) -> B)
where
    S: Service<Request<B>, Error = Infallible>,
{
    for template in templates {
        let request = template.request(body);
        let _ = black_box(finish(service.call(request)));
    }
}

/// Nothing here waits, so one poll is the whole of it.
fn finish<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a handler that waits does not belong here"),
    }
}
