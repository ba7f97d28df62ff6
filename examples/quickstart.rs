//! The main job on real HTTP: a server with the layer, and everything that a provider, a proxy or
//! a forger might send to it.
//!
//! ```sh
//! cargo run --example quickstart             # prints a table, exits 0 when every line came out right
//! cargo run --example quickstart -- --serve  # stays up and prints a curl line that works
//! ```

mod support;

use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, middleware::map_response, response::Response, routing::post};
use bytes::Bytes;
use futures_util::future::join_all;
use suno_callback::{
    Delivery, Disposition, MemoryStore, Rejection, SigningKey, SunoCallbackLayer, VoiceEvent,
    VoiceOutcome,
};
use support::{BoxError, Callback, Pair, Sender, unix_now};
use tokio::net::TcpListener;

const KEY: &str = "quickstart-key";
const PATH: &str = "/callbacks/suno/voice";

/// What the handler was given: task, outcome.
type Handed = Arc<Mutex<Vec<(String, String)>>>;

async fn on_voice(State(handed): State<Handed>, event: VoiceEvent, delivery: Delivery) {
    let outcome = match event.outcome() {
        VoiceOutcome::Ready(voice) => format!("ready: {voice}"),
        VoiceOutcome::Failed(failure) => {
            format!("failed: {}", failure.error_message().unwrap_or("no reason"))
        }
        VoiceOutcome::Inconsistent(why) => format!("inconsistent: {why:?}"),
        VoiceOutcome::Unknown => format!("unknown: {}", event.body()),
        _ => format!("pending: {}", event.status()),
    };
    println!(
        "  handler: {} {outcome} (try {})",
        event.task_id(),
        delivery.attempt()
    );
    let handed_over = (event.task_id().to_string(), outcome);
    handed
        .lock()
        .map(|mut all| all.push(handed_over))
        .unwrap_or_default();
}

/// Shows the layer's typed verdict to the sender. For this demonstration: a real sender learns
/// nothing but the status.
async fn show_verdict(mut response: Response) -> Response {
    let rejection = response.extensions().get().map(Rejection::as_str);
    let disposition = response
        .extensions()
        .get()
        .copied()
        .map(Disposition::as_str);
    if let Some(verdict) = rejection.or(disposition) {
        let verdict = http::HeaderValue::from_static(verdict);
        response.headers_mut().insert("x-verdict", verdict);
    }
    response
}

async fn serve(handed: Handed) -> Result<SocketAddr, BoxError> {
    let layer = SunoCallbackLayer::new(SigningKey::new(KEY)?, MemoryStore::default())
        .on_conflict(|conflict| println!("  conflict hook: {}", conflict.task_id()));
    let app = Router::new()
        .route(PATH, post(on_voice).layer(layer))
        .layer(map_response(show_verdict))
        .with_state(handed);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(addr)
}

/// One line of the table: what was sent and what must come out.
struct Case {
    what: &'static str,
    pair: Pair,
    body: Bytes,
    copies: usize,
    status: u16,
    verdicts: &'static [&'static str],
    runs: usize,
}

fn cases() -> Result<Vec<Case>, BoxError> {
    let (key, wrong_key) = (
        SigningKey::new(KEY)?,
        SigningKey::new("a guess at the key")?,
    );
    let now = unix_now();
    let case = |what, callback: Callback, status, verdict, runs| Case {
        what,
        pair: Pair::sign(&key, &callback.task_id, now),
        body: callback.body(),
        copies: 1,
        status,
        verdicts: verdict,
        runs,
    };
    let success = |task| Callback::new(task, "success", "voice_1");
    let mut cases = vec![
        case("a genuine success", success("t1"), 200, &["accepted"], 1),
        case("its duplicate", success("t1"), 200, &["duplicate"], 0),
        case(
            "eight parallel twins",
            success("t2"),
            200,
            &["accepted", "duplicate"],
            1,
        ),
        case(
            "a forged signature",
            success("t3"),
            401,
            &["signature_wrong"],
            0,
        ),
        case("a stale signature", success("t4"), 401, &["stale"], 0),
        case(
            "another voice, same header pair",
            Callback::new("t1", "success", "voice_of_a_forger"),
            200,
            &["conflict"],
            0,
        ),
        case(
            "a failure",
            Callback::new("t5", "fail", ""),
            200,
            &["accepted"],
            1,
        ),
        case("... then its success", success("t5"), 200, &["accepted"], 1),
        case(
            "a failure after the success",
            Callback::new("t1", "fail", ""),
            200,
            &["late"],
            0,
        ),
        case(
            "success with voiceId \"fail\"",
            Callback::new("t6", "success", "fail"),
            200,
            &["accepted"],
            1,
        ),
        case(
            "a status nobody documented",
            Callback::new("t7", "almost_there", ""),
            200,
            &["accepted"],
            1,
        ),
    ];
    for case in &mut cases {
        match case.what {
            "eight parallel twins" => case.copies = 8,
            "a forged signature" => case.pair = Pair::sign(&wrong_key, "t3", now),
            "a stale signature" => case.pair = Pair::sign(&key, "t4", now - 301),
            _ => {}
        }
    }
    Ok(cases)
}

/// Sends one case and returns its line and whether it came out right.
async fn run(case: &Case, sender: &Sender, handed: &Handed) -> Result<(String, bool), BoxError> {
    let count = || handed.lock().map(|all| all.len()).unwrap_or_default();
    let before = count();
    let copies = (0..case.copies).map(|_| sender.send(&case.pair, case.body.clone()));
    let mut verdicts = Vec::new();
    let mut statuses = Vec::new();
    for answer in join_all(copies).await {
        let answer = answer?;
        let verdict = answer.headers.get("x-verdict");
        verdicts.push(
            verdict
                .map(|it| it.to_str().unwrap_or("?").to_owned())
                .unwrap_or_default(),
        );
        statuses.push(answer.status.as_u16());
    }
    let runs = count() - before;
    verdicts.sort();
    verdicts.dedup();
    let right = statuses.iter().all(|status| *status == case.status)
        && verdicts == case.verdicts
        && runs == case.runs;
    let line = format!(
        "{:<34} {:<10} {:<12} {:<22} {}",
        case.what,
        answered(&statuses),
        match runs {
            0 => "no".to_owned(),
            runs => format!("{runs} time"),
        },
        verdicts.join(", "),
        if right { "ok" } else { "WRONG" },
    );
    Ok((line, right))
}

/// `8 x 200`, or all of them where they differ.
fn answered(statuses: &[u16]) -> String {
    match statuses {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => {
            format!("{} x {first}", statuses.len())
        }
        all => format!("{all:?}"),
    }
}

async fn demonstrate() -> Result<bool, BoxError> {
    let handed = Handed::default();
    let addr = serve(Arc::clone(&handed)).await?;
    let sender = Sender::new(format!("http://{addr}{PATH}").parse()?);
    let mut table = Vec::new();
    let mut all_right = true;
    for case in cases()? {
        let (line, right) = run(&case, &sender, &handed).await?;
        all_right &= right;
        table.push(line);
    }
    println!(
        "\n{:<34} {:<10} {:<12} {:<22}",
        "sent", "answered", "handed over", "verdict"
    );
    println!("{}\n{}", "-".repeat(84), table.join("\n"));
    println!(
        "\n{}",
        if all_right {
            "all as designed"
        } else {
            "SOMETHING IS WRONG"
        }
    );
    Ok(all_right)
}

async fn stay_up() -> Result<bool, BoxError> {
    let addr = serve(Handed::default()).await?;
    println!("listening on http://{addr}{PATH}; send it a success:\n");
    println!(
        "ts=$(date +%s); sig=$(printf 'task-1.%s' $ts | openssl dgst -sha256 -hmac {KEY} -binary | base64); \
         curl -i http://{addr}{PATH} -H 'Content-Type: application/json' \
         -H \"X-Webhook-Timestamp: $ts\" -H \"X-Webhook-Signature: $sig\" \
         -d '{{\"code\":200,\"msg\":\"success\",\"data\":{{\"taskId\":\"task-1\",\"voiceId\":\"voice_1\",\"status\":\"success\"}}}}'\n"
    );
    tokio::signal::ctrl_c().await?;
    Ok(true)
}

#[tokio::main]
async fn main() -> ExitCode {
    let serve = std::env::args().any(|argument| argument == "--serve");
    let outcome = if serve {
        stay_up().await
    } else {
        demonstrate().await
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
