//! What a callback costs: the layer beside a handler written by hand.
//!
//! ```sh
//! cargo bench -p benches --bench request             # criterion, then the table
//! cargo bench -p benches --bench request -- --table  # the table alone
//! cargo bench -p benches --bench request -- --gate   # the table; fails unless the layer is the cheaper one
//! ```
//!
//! `--once NAME` runs one batch of one variant and nothing else, for counting instructions.
//!
//! The table is overhead: each variant less its own bare inner service, measured in turns within
//! one run, the minimum of many rounds. Read ratios, not nanoseconds.

use std::{
    convert::Infallible,
    future::Future,
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use criterion::Criterion;
use dashmap::DashMap;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use serde::Deserialize;
use sha2::Sha256;
use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer, VoiceEvent, VoiceOutcome};
use tower::{Layer, Service};

const KEY: &str = "test-webhook-hmac-key";
const BATCH: usize = 16_384;

// ---- requests

/// A request that costs next to nothing to make again.
#[derive(Clone)]
struct Template {
    timestamp: HeaderValue,
    signature: HeaderValue,
    body: Bytes,
    method: http::Method,
}

impl Template {
    fn request<B>(&self, body: impl FnOnce(Bytes) -> B) -> Request<B> {
        let mut request = Request::new(body(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = http::Uri::from_static("/voice");
        let headers = request.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("x-webhook-timestamp", self.timestamp.clone());
        headers.insert("x-webhook-signature", self.signature.clone());
        request
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map(|now| now.as_secs()).unwrap_or_default()
}

/// Genuine callbacks of different tasks.
fn genuine() -> Vec<Template> {
    let key = SigningKey::new(KEY).expect("a key");
    let seconds = now();
    let template = |number: usize| {
        let task_id = format!("{number:032x}");
        let body = format!(
            r#"{{"code":200,"msg":"success","data":{{"taskId":"{task_id}","voiceId":"voice_{number:08x}","status":"success","errorCode":null,"errorMessage":""}}}}"#
        );
        Template {
            timestamp: HeaderValue::from(seconds),
            signature: HeaderValue::try_from(key.sign(&task_id, seconds)).expect("base64"),
            body: body.into(),
            method: http::Method::POST,
        }
    };
    (0..BATCH).map(template).collect()
}

/// The same callbacks with one thing wrong, named after the step that refuses them.
fn refused(genuine: &[Template]) -> Vec<(&'static str, Vec<Template>)> {
    let spoil = |how: fn(&mut Template)| {
        let mut spoiled = genuine.to_vec();
        spoiled.iter_mut().for_each(how);
        spoiled
    };
    let old = now() - 1000;
    let mut stale = genuine.to_vec();
    stale
        .iter_mut()
        .for_each(|it| it.timestamp = HeaderValue::from(old));
    vec![
        ("refused: method", spoil(|it| it.method = http::Method::GET)),
        ("refused: stale", stale),
        (
            "refused: malformed signature",
            spoil(|it| it.signature = HeaderValue::from_static("sha256=abcdef")),
        ),
        (
            "refused: body too large",
            spoil(|it| it.body = Bytes::from_static(&[b' '; 17 * 1024])),
        ),
        (
            "refused: not JSON",
            spoil(|it| it.body = Bytes::from_static(b"garbage")),
        ),
        (
            "refused: wrong signature",
            spoil(|it| {
                it.signature =
                    HeaderValue::from_static("xG6/yOyrMyJtUdc1yjmHpKLHSHF3MpzOPa6uxSj3qb4=");
            }),
        ),
    ]
}

// ---- what is compared

async fn bare(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::default()))
}

async fn with_event(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let event = request.extensions().get::<VoiceEvent>().expect("an event");
    assert!(matches!(event.outcome(), VoiceOutcome::Ready(_)));
    Ok(Response::new(Full::default()))
}

async fn extracted(event: VoiceEvent) {
    assert!(matches!(event.outcome(), VoiceOutcome::Ready(_)));
}

fn layer() -> SunoCallbackLayer<MemoryStore> {
    SunoCallbackLayer::new(SigningKey::new(KEY).expect("a key"), MemoryStore::default())
}

fn layered_router() -> Router {
    Router::new()
        .route("/voice", post(extracted).layer(layer()))
        .with_state(())
}

/// The handler that one writes by hand: typed, verified, deduplicated, and no more.
#[derive(Clone, Default)]
struct ByHand {
    seen: Arc<DashMap<String, String>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Envelope {
    code: i64,
    msg: String,
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct Data {
    task_id: String,
    voice_id: Option<String>,
    status: String,
    error_code: Option<i64>,
    error_message: Option<String>,
}

async fn by_hand(State(state): State<ByHand>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let (Some(timestamp), Some(signature)) =
        (text("x-webhook-timestamp"), text("x-webhook-signature"))
    else {
        return StatusCode::UNAUTHORIZED;
    };
    if !timestamp
        .parse::<u64>()
        .is_ok_and(|then| now().abs_diff(then) <= 300)
    {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(envelope) = serde_json::from_slice::<Envelope>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("any length");
    mac.update(format!("{}.{timestamp}", envelope.data.task_id).as_bytes());
    let signature = STANDARD.decode(signature).unwrap_or_default();
    if mac.verify_slice(&signature).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let voice_id = envelope.data.voice_id.unwrap_or_default();
    if state.seen.insert(envelope.data.task_id, voice_id).is_none() {
        black_box(&envelope.data.status);
    }
    StatusCode::OK
}

fn by_hand_router() -> Router {
    Router::new()
        .route("/voice", post(by_hand))
        .with_state(ByHand::default())
}

fn bare_router() -> Router {
    Router::new()
        .route("/voice", post(async || {}))
        .with_state(())
}

// ---- measuring

/// Nothing here waits, so one poll is the whole of it.
fn finish<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a handler that waits does not belong here"),
    }
}

/// Sends the templates to a service and returns the time it took.
fn pass<S, B>(service: &mut S, templates: &[Template], body: fn(Bytes) -> B) -> Duration
where
    S: Service<Request<B>, Error = Infallible>,
{
    let began = Instant::now();
    for template in templates {
        let request = template.request(body);
        let _ = black_box(finish(service.call(request)));
    }
    began.elapsed()
}

/// One way to run through a batch; makes what it needs before it looks at the clock.
type Run = Box<dyn Fn(&[Template]) -> Duration>;

fn tower<S, R>(make: impl Fn() -> S + 'static) -> Run
where
    S: Service<Request<Full<Bytes>>, Response = R, Error = Infallible>,
{
    Box::new(move |templates| pass(&mut make(), templates, Full::new))
}

fn axum(make: impl Fn() -> Router + 'static) -> Run {
    Box::new(move |templates| pass(&mut make(), templates, Body::from))
}

/// The second pass over a service that has seen everything before.
fn again(make: impl Fn() -> Router + 'static) -> Run {
    Box::new(move |templates| {
        let mut router = make();
        pass(&mut router, templates, Body::from);
        pass(&mut router, templates, Body::from)
    })
}

struct Variant {
    name: &'static str,
    /// The index of the variant that is its bare inner service.
    bare: usize,
    run: Run,
    templates: Vec<Template>,
}

fn variants() -> Vec<Variant> {
    let genuine = genuine();
    let variant = |name, bare, run, templates: &[Template]| Variant {
        name,
        bare,
        run,
        templates: templates.to_vec(),
    };
    let mut all = vec![
        variant(
            "tower: bare",
            0,
            tower(|| tower::service_fn(bare)),
            &genuine,
        ),
        variant("axum: bare", 1, axum(bare_router), &genuine),
        variant("axum: by hand, accepted", 1, axum(by_hand_router), &genuine),
        variant(
            "axum: by hand, duplicate",
            1,
            again(by_hand_router),
            &genuine,
        ),
        variant("axum: layer, accepted", 1, axum(layered_router), &genuine),
        variant("axum: layer, duplicate", 1, again(layered_router), &genuine),
        variant(
            "tower: layer, accepted",
            0,
            tower(|| layer().layer(tower::service_fn(with_event))),
            &genuine,
        ),
    ];
    for (name, templates) in refused(&genuine) {
        let run = tower(|| layer().layer(tower::service_fn(with_event)));
        all.push(variant(name, 0, run, &templates));
    }
    all
}

/// The least time of each variant, in nanoseconds a request, measured in turns.
fn least(variants: &[Variant], rounds: usize) -> Vec<f64> {
    let mut least = vec![f64::MAX; variants.len()];
    for _ in 0..rounds {
        for (variant, least) in variants.iter().zip(&mut least) {
            let took = (variant.run)(&variant.templates).as_nanos() as f64;
            *least = least.min(took / BATCH as f64);
        }
    }
    least
}

/// Prints the table; true when the layer through a router costs less than the handler by hand.
fn table(variants: &[Variant]) -> bool {
    let least = least(variants, 25);
    let overhead = |name: &str| {
        let index = variants.iter().position(|variant| variant.name == name);
        let index = index.expect("a variant");
        least[index] - least[variants[index].bare]
    };
    let by_hand = overhead("axum: by hand, accepted");
    println!(
        "\n{:<32} {:>14} {:>12}",
        "overhead over its bare service", "ns", "/ by hand"
    );
    for variant in variants
        .iter()
        .filter(|variant| !variant.name.ends_with("bare"))
    {
        let own = overhead(variant.name);
        println!("{:<32} {own:>14.0} {:>12.2}", variant.name, own / by_hand);
    }
    let cheaper = overhead("axum: layer, accepted") < by_hand;
    let cheaper_again = overhead("axum: layer, duplicate") < overhead("axum: by hand, duplicate");
    println!(
        "\nthe layer costs less than the handler by hand: {cheaper}, for a duplicate: {cheaper_again}"
    );
    cheaper
}

fn criterion(variants: &[Variant]) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut group = criterion.benchmark_group("request");
    for variant in variants {
        group.bench_function(variant.name, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut took = Duration::ZERO;
                let mut left = usize::try_from(iterations).unwrap_or(usize::MAX);
                while left > 0 {
                    let count = left.min(BATCH);
                    took += (variant.run)(&variant.templates[..count]);
                    left -= count;
                }
                took
            });
        });
    }
    group.finish();
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _inside = runtime.enter();
    let variants = variants();
    if let Some(name) = std::env::args().skip_while(|it| it != "--once").nth(1) {
        for variant in variants.iter().filter(|variant| variant.name == name) {
            (variant.run)(&variant.templates);
        }
        return;
    }
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    if !has("--table") && !has("--gate") {
        criterion(&variants);
    }
    // `cargo test --benches` only wants to see that it runs.
    let cheaper = has("--test") || has("--profile-time") || table(&variants);
    if has("--gate") && !cheaper {
        std::process::exit(1);
    }
}
