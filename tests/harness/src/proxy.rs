//! A TCP proxy that loses answers: it hands a request on, waits until the server has answered, and
//! then cuts the connection without a byte of the answer.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

#[derive(Clone, Default)]
struct Plan(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// A request with these bytes is the one; so many of them pass before.
    needle: Option<(Vec<u8>, usize)>,
    cuts: usize,
}

pub struct Proxy {
    addr: SocketAddr,
    plan: Plan,
}

impl Proxy {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let plan = Plan::default();
        tokio::spawn({
            let plan = plan.clone();
            async move {
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    tokio::spawn(relay(client, server, plan.clone()));
                }
            }
        });
        Self { addr, plan }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on: lets `passed` requests that contain `needle` pass, and loses the answer of the
    /// one after.
    pub fn lose_answer(&self, needle: &str, passed: usize) {
        self.plan.0.lock().unwrap().needle = Some((needle.as_bytes().to_vec(), passed));
    }

    /// How many answers were lost.
    pub fn lost(&self) -> usize {
        self.plan.0.lock().unwrap().cuts
    }
}

impl Plan {
    /// Whether the answer of this request is to be lost.
    fn is_due(&self, request: &[u8]) -> bool {
        let mut inner = self.0.lock().unwrap();
        let Some((needle, passed)) = &mut inner.needle else {
            return false;
        };
        if !request.windows(needle.len()).any(|part| part == needle) {
            return false;
        }
        if *passed > 0 {
            *passed -= 1;
            return false;
        }
        inner.needle = None;
        inner.cuts += 1;
        true
    }
}

async fn relay(client: TcpStream, server: SocketAddr, plan: Plan) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let armed = Arc::new(AtomicBool::new(false));
    tokio::select! {
        _ = requests(from_client, to_server, plan, Arc::clone(&armed)) => {}
        _ = answers(from_server, to_client, armed) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    plan: Plan,
    armed: Arc<AtomicBool>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if plan.is_due(&buffer[..read]) {
            armed.store(true, SeqCst);
        }
        to.write_all(&buffer[..read]).await?;
    }
}

/// Ends, and with it the connection, when an answer has come that is to be lost.
async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    armed: Arc<AtomicBool>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 || armed.load(SeqCst) {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
