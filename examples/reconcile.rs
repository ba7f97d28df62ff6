//! A callback that never comes, and a poll that delivers its outcome instead.
//!
//! A small fake of the provider's API serves the documented answers over HTTP on loopback. Three
//! tasks are submitted: the callback of the first is lost, the callback of the second is forged,
//! the third fails. Each must reach the handler once, and what comes afterwards must be answered
//! with 200 without a run.
//!
//! ```text
//! cargo run --example reconcile --features client
//! ```

use std::{
    error::Error,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Router, extract::State, routing::post};
use bytes::Bytes;
use harness::fake_api::{self, FakeApi};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use suno_callback::{
    Delivery, MemoryStore, Reconciler, SigningKey, SunoCallbackLayer, TaskId, VoiceClient,
    VoiceEvent, VoiceOutcome,
    client::{ApiKey, Pace, Watched, Watchlist},
};
use tokio::{net::TcpListener, time::timeout};
use tower::Layer;

const SIGNING_KEY: &str = "the key of the settings page";

/// What the handler did, in order.
type Ledger = Arc<Mutex<Vec<String>>>;

async fn on_voice(State(ledger): State<Ledger>, event: VoiceEvent, delivery: Delivery) {
    let (task, via) = (event.task_id(), delivery.via().as_str());
    let line = match event.outcome() {
        VoiceOutcome::Ready(voice) => format!("{task}: voice {voice}, by {via}"),
        VoiceOutcome::Failed(_) => format!("{task}: failed, by {via}"),
        _ => return,
    };
    println!("  handler  {line}");
    ledger.lock().unwrap().push(line);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The provider.
    let api = FakeApi::default();
    let client = VoiceClient::https(ApiKey::new(fake_api::API_KEY)?)?
        .base_url(&api.serve().await)?
        .rate(50, Duration::from_secs(1));

    // The application. A real one keeps the default pace: 3 to 30 seconds.
    let watchlist = Watchlist::new(Pace {
        shortest: Duration::from_millis(200),
        longest: Duration::from_secs(1),
        ..Pace::default()
    })?;
    let layer = SunoCallbackLayer::new(SigningKey::new(SIGNING_KEY)?, MemoryStore::default())
        .confirm(client.clone());
    let ledger = Ledger::default();
    let handler: Router = Router::new()
        .fallback(post(on_voice))
        .with_state(ledger.clone());
    let service = layer.layer(handler);
    let reconciler = Reconciler::new(client, service.clone()).watching(watchlist.clone());
    let reconciling = tokio::spawn(reconciler.run());
    let app: Router = Router::new().route_service("/callbacks/suno/voice", service);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });

    // Three tasks, and what the network makes of them.
    let tasks = ["lost", "forged", "failed"].map(TaskId::new);
    let [lost, forged, failed] = tasks;
    let (lost, forged, failed) = (lost?, forged?, failed?);
    let watches = [&lost, &forged, &failed].map(|task| watchlist.watch(task));
    api.progress("lost", "wait_processing");
    println!("the callback of `lost` never comes");
    api.succeed("lost", "voice_1");
    api.succeed("forged", "voice_2");
    println!("the callback of `forged` names a foreign voice");
    check(
        callback(addr, &forged, "voice_of_a_stranger").await?,
        "the forgery is answered",
    )?;
    api.fail("failed");
    for watch in watches {
        let watched = timeout(Duration::from_secs(5), watch).await?;
        println!("  watch    {}", watched.as_str());
        check(watched.is_delivered(), "each outcome is delivered")?;
    }
    println!("the callback of `lost` comes at last, twice");
    for _ in 0..2 {
        check(
            callback(addr, &lost, "voice_1").await?,
            "a duplicate is answered with 200",
        )?;
    }

    let mut lines = ledger.lock().unwrap().clone();
    lines.sort();
    let expected = [
        "failed: failed, by poll",
        "forged: voice voice_2, by callback",
        "lost: voice voice_1, by poll",
    ];
    check(lines == expected, "each outcome reached the handler once")?;

    let drain = layer.drain();
    drain.close();
    let drained = drain.finish(Duration::from_secs(2)).await;
    check(
        drained.aborted + drained.unsettled == 0,
        "nothing is left behind",
    )?;
    timeout(Duration::from_secs(2), reconciling).await??;
    let stopped = watchlist.watch(&lost).await;
    check(
        matches!(stopped, Watched::Stopped),
        "a drained list watches nothing",
    )?;
    serving.abort();
    println!("all came out right");
    Ok(())
}

/// Calls back as the provider does; whether the answer was 200.
async fn callback(addr: SocketAddr, task: &TaskId, voice: &str) -> Result<bool, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let signature = SigningKey::new(SIGNING_KEY)?.sign(task.as_str(), now);
    let body = format!(
        r#"{{"code":200,"msg":"success","data":{{"taskId":"{task}","voiceId":"{voice}","status":"success","errorCode":null,"errorMessage":""}}}}"#
    );
    let request = Request::post(format!("http://{addr}/callbacks/suno/voice"))
        .header("content-type", "application/json")
        .header("x-webhook-timestamp", now)
        .header("x-webhook-signature", signature)
        .body(Full::<Bytes>::from(body))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await?;
    Ok(response.status() == StatusCode::OK)
}

fn check(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    match holds {
        true => Ok(()),
        false => Err(format!("not so: {what}").into()),
    }
}
