//! The main job on real HTTP: a server that receives voices and music, and everything that a
//! provider, a proxy or a forger might send to it.
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
    product::{Music, MusicEvent, MusicOutcome},
};
use support::{BoxError, Callback, Pair, Sender, documented::Documented, unix_now};
use tokio::net::TcpListener;

const KEY: &str = "quickstart-key";
const VOICES: &str = "/callbacks/suno/voice";
const MUSIC: &str = "/callbacks/suno/music";

/// What the handlers were given: task, outcome.
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
    note(&handed, event.task_id().to_string(), outcome, &delivery);
}

async fn on_music(State(handed): State<Handed>, event: MusicEvent, delivery: Delivery) {
    let outcome = match event.outcome() {
        MusicOutcome::Text(_) => "its text is written".to_owned(),
        MusicOutcome::First(_) => "one track can be heard".to_owned(),
        MusicOutcome::Complete(tracks) => format!("complete: {} tracks", tracks.len()),
        other => format!("{other:?}"),
    };
    note(&handed, event.task_id().to_string(), outcome, &delivery);
}

fn note(handed: &Handed, task: String, outcome: String, delivery: &Delivery) {
    println!("  handler: {task} {outcome} (try {})", delivery.attempt());
    handed
        .lock()
        .map(|mut all| all.push((task, outcome)))
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
    // Clones share the store, and everything else.
    let layer = SunoCallbackLayer::new(SigningKey::new(KEY)?, MemoryStore::default());
    let music = layer.clone().receives(Music);
    let voices = layer.on_conflict(|conflict| println!("  conflict hook: {}", conflict.task_id()));
    let app = Router::new()
        .route(VOICES, post(on_voice).layer(voices))
        .route(MUSIC, post(on_music).layer(music))
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
    path: &'static str,
    pair: Pair,
    body: Bytes,
    copies: usize,
    expected: Expected,
}

/// Status, verdicts, and how often the handler runs.
type Expected = (u16, &'static [&'static str], usize);

const ACCEPTED: Expected = (200, &["accepted"], 1);
const DUPLICATE: Expected = (200, &["duplicate"], 0);
const TWINS: Expected = (200, &["accepted", "duplicate"], 1);
const LATE: Expected = (200, &["late"], 0);
const CONFLICT: Expected = (200, &["conflict"], 0);
const FORGED: Expected = (401, &["signature_wrong"], 0);
const STALE: Expected = (401, &["stale"], 0);

fn voices() -> Result<Vec<Case>, BoxError> {
    let key = SigningKey::new(KEY)?;
    let wrong_key = SigningKey::new("a guess at the key")?;
    let now = unix_now();
    let success = |task| Callback::new(task, "success", "voice_1");
    let failure = |task| Callback::new(task, "fail", "");
    let foreign = Callback::new("t1", "success", "voice_of_a_forger");
    let inconsistent = Callback::new("t6", "success", "fail");
    let unknown = Callback::new("t7", "almost_there", "");
    let case = |(what, callback, expected): (_, Callback, _)| Case {
        what,
        path: VOICES,
        pair: Pair::sign(&key, &callback.task_id, now),
        body: callback.body(),
        copies: 1,
        expected,
    };
    let cases = [
        ("a genuine success", success("t1"), ACCEPTED),
        ("its duplicate", success("t1"), DUPLICATE),
        ("eight parallel twins", success("t2"), TWINS),
        ("a forged signature", success("t3"), FORGED),
        ("a stale signature", success("t4"), STALE),
        ("another voice, same header pair", foreign, CONFLICT),
        ("a failure", failure("t5"), ACCEPTED),
        ("... then its success", success("t5"), ACCEPTED),
        ("a failure after the success", failure("t1"), LATE),
        ("success with voiceId \"fail\"", inconsistent, ACCEPTED),
        ("a status nobody documented", unknown, ACCEPTED),
    ];
    let mut cases: Vec<_> = cases.into_iter().map(case).collect();
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

/// The stages of two pieces of music, one backwards, under the task ids of voices.
fn music() -> Result<Vec<Case>, BoxError> {
    let (key, music) = (SigningKey::new(KEY)?, Documented::named("music")?);
    let case = |(what, task, stage, expected)| {
        Ok(Case {
            what,
            path: MUSIC,
            pair: Pair::sign(&key, task, unix_now()),
            body: music.body(Some(stage), task)?,
            copies: 1,
            expected,
        })
    };
    let cases = [
        (
            "music, complete before all else",
            "t1",
            "complete",
            ACCEPTED,
        ),
        ("... then its first", "t1", "first", LATE),
        ("... then its text", "t1", "text", LATE),
        ("music in order: text", "t2", "text", ACCEPTED),
        ("... then first", "t2", "first", ACCEPTED),
        ("... then complete", "t2", "complete", ACCEPTED),
    ];
    cases.into_iter().map(case).collect()
}

/// Sends one case and returns its line and whether it came out right.
async fn run(case: &Case, addr: SocketAddr, handed: &Handed) -> Result<(String, bool), BoxError> {
    let sender = Sender::new(format!("http://{addr}{}", case.path).parse()?);
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
    let (status, expected, once) = case.expected;
    let right = statuses.iter().all(|it| *it == status) && verdicts == expected && runs == once;
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
    let mut table = Vec::new();
    let mut all_right = true;
    for case in voices()?.into_iter().chain(music()?) {
        let (line, right) = run(&case, addr, &handed).await?;
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
    println!("listening on http://{addr}{VOICES}; send it a success:\n");
    println!(
        "ts=$(date +%s); sig=$(printf 'task-1.%s' $ts | openssl dgst -sha256 -hmac {KEY} -binary | base64); \
         curl -i http://{addr}{VOICES} -H 'Content-Type: application/json' \
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
