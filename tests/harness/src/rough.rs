//! A TCP proxy under which connections break in every way, in random order.

use std::{net::SocketAddr, time::Duration};

use fastrand::Rng;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::ms;

/// What happens to connections at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Good,
    /// Those that are open end, and new ones too.
    Cuts,
    /// The same, without a good-bye.
    Resets,
    /// Whatever comes is taken and goes nowhere, and so for as long as these connections live.
    Swallows,
    /// Everything arrives, later.
    Delays(Duration),
}

/// Leads to a server, through whatever its seed says for a while, and then well. Dropped, it closes
/// everything.
pub struct Rough {
    addr: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Rough {
    /// The weather changes now and then for `span`, and then is good for ever.
    pub async fn to(server: SocketAddr, span: Duration, mut random: Rng) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (change, weather) = watch::channel(any(&mut random));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let end = Instant::now() + span;
            while Instant::now() < end {
                let left = end - Instant::now();
                sleep(ms(random.u64(20..1500)).min(left)).await;
                change.send_replace(any(&mut random));
            }
            change.send_replace(Weather::Good);
            change.closed().await;
        });
        tasks.spawn(async move {
            let mut relays = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                relays.spawn(relay(client, server, weather.clone()));
            }
        });
        Self {
            addr,
            _tasks: tasks,
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

fn any(random: &mut Rng) -> Weather {
    match random.u8(0..6) {
        0 | 1 => Weather::Swallows,
        2 => Weather::Cuts,
        3 => Weather::Resets,
        4 => Weather::Delays(ms(random.u64(1..1200))),
        _ => Weather::Good,
    }
}

async fn relay(client: TcpStream, server: SocketAddr, weather: watch::Receiver<Weather>) {
    let now = *weather.borrow();
    let (mut from_client, mut to_client) = client.into_split();
    let how = match now {
        // The server hears of nothing, and is spared a process.
        Weather::Cuts | Weather::Resets => Some(now),
        Weather::Swallows => swallow(&mut from_client).await,
        Weather::Good | Weather::Delays(_) => {
            let Ok(server) = TcpStream::connect(server).await else {
                return;
            };
            let (mut from_server, mut to_server) = server.into_split();
            tokio::select! {
                how = pump(&mut from_client, &mut to_server, weather.clone()) => how,
                how = pump(&mut from_server, &mut to_client, weather) => how,
            }
        }
    };
    if how == Some(Weather::Resets) {
        let client = to_client.reunite(from_client).unwrap();
        let _ = client.set_zero_linger(); // which makes its close a reset
    }
}

/// Hands on what comes until the weather, or somebody, ends it.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut weather: watch::Receiver<Weather>,
) -> Option<Weather> {
    let mut buffer = vec![0; 4096];
    loop {
        let now = *weather.borrow_and_update();
        if matches!(now, Weather::Cuts | Weather::Resets) {
            return Some(now);
        }
        if now == Weather::Swallows {
            return swallow(from).await;
        }
        let read = tokio::select! {
            _ = weather.changed() => continue,
            read = from.read(&mut buffer) => read.ok()?,
        };
        if let Weather::Delays(pause) = now {
            sleep(pause).await;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return None;
        }
    }
}

async fn swallow(from: &mut (impl AsyncRead + Unpin)) -> Option<Weather> {
    let mut buffer = vec![0; 4096];
    while from.read(&mut buffer).await.ok()? > 0 {}
    None
}
