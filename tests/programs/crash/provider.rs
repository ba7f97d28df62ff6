//! The provider: 15 seconds for an answer, three retries, and only 200 counts.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::sleep};

use super::fleet::Receiver;
use harness::Callback;

const PATIENCE: Duration = Duration::from_secs(15);
const RETRIES: usize = 3;

/// One request, over a connection of its own.
pub struct Try {
    pub to: Arc<Receiver>,
    pub sent: Instant,
    pub ended: Instant,
    pub end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Answered(StatusCode),
    /// The connection broke.
    Cut,
    TimedOut,
}

impl End {
    pub const RECEIVED: Self = Self::Answered(StatusCode::OK);
}

/// Sends `callback` once. `None` when nobody listens there, which a load balancer does not count.
pub async fn attempt(to: &Arc<Receiver>, callback: &Callback) -> Option<Try> {
    let stream = TcpStream::connect(to.addr).await.ok()?;
    let sent = Instant::now();
    let exchange = tokio::time::timeout(PATIENCE, exchange(stream, callback)).await;
    Some(Try {
        to: Arc::clone(to),
        sent,
        ended: Instant::now(),
        end: match exchange {
            Ok(Ok(status)) => End::Answered(status),
            Ok(Err(_)) => End::Cut,
            Err(_) => End::TimedOut,
        },
    })
}

async fn exchange(stream: TcpStream, callback: &Callback) -> hyper::Result<StatusCode> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = callback.request();
    let host = http::HeaderValue::from_static("receiver.test");
    request.headers_mut().insert("host", host);
    let response = sender.send_request(request).await?;
    let status = response.status();
    response.into_body().collect().await?;
    connection.abort();
    Ok(status)
}

/// Sends one event until it is received or all tries are used up, each to who `pick` says.
pub async fn deliver<P: Future<Output = Arc<Receiver>>>(
    task: &str,
    back_off: impl Fn() -> Duration,
    pick: impl Fn() -> P,
) -> Vec<Try> {
    let mut tries: Vec<Try> = Vec::new();
    loop {
        let callback = Callback::success(task, "voice");
        let Some(one) = attempt(&pick().await, &callback).await else {
            sleep(Duration::from_millis(1)).await;
            continue;
        };
        let over = one.end == End::RECEIVED || tries.len() == RETRIES;
        tries.push(one);
        if over {
            return tries;
        }
        sleep(back_off()).await;
    }
}
