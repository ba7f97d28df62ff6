//! A TCP proxy, as a name that leads to a server: it can lead to another one, forget its
//! connections, and lose answers: then it hands a request on, waits until the server has answered,
//! and cuts the connection without a byte of the answer. It can also hold answers back for a while,
//! and keeps what was said.

use std::{
    future::pending,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use crate::turns::{Speaker, Turns};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
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
    /// Where new connections lead.
    server: Arc<Mutex<SocketAddr>>,
    /// Changes when all connections are forgotten that are open.
    forgotten: watch::Sender<()>,
    accepted: Arc<AtomicUsize>,
    turns: Turns,
    /// Whether answers are held back.
    held: watch::Sender<bool>,
}

impl Proxy {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let proxy = Self {
            addr,
            plan: Plan::default(),
            server: Arc::new(Mutex::new(server)),
            forgotten: watch::Sender::new(()),
            accepted: Arc::default(),
            turns: Turns::default(),
            held: watch::Sender::new(false),
        };
        let (plan, server) = (proxy.plan.clone(), Arc::clone(&proxy.server));
        let (forgotten, accepted) = (proxy.forgotten.subscribe(), Arc::clone(&proxy.accepted));
        let (turns, held) = (proxy.turns.clone(), proxy.held.subscribe());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, SeqCst);
                let (server, mut forgotten) = (*server.lock().unwrap(), forgotten.clone());
                forgotten.mark_unchanged();
                let talk = (plan.clone(), turns.speaker(), held.clone());
                tokio::spawn(relay(client, server, talk, forgotten));
            }
        });
        proxy
    }

    /// From now on new connections lead to `server`. Those that are open stay where they are.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.server.lock().unwrap() = server;
    }

    /// From now on connections that are open now take everything and answer nothing.
    pub fn forget(&self) {
        self.forgotten.send_replace(());
    }

    /// How many connections there have been.
    pub fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What clients say, from the first call on.
    pub fn turns(&self) -> &Turns {
        self.turns.listen();
        &self.turns
    }

    /// Holds every answer back until that is over.
    pub fn hold_answers(&self, is_held: bool) {
        self.held.send_replace(is_held);
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

async fn relay(
    client: TcpStream,
    server: SocketAddr,
    (plan, speaker, held): (Plan, Speaker, watch::Receiver<bool>),
    mut forgotten: watch::Receiver<()>,
) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let armed = Arc::new(AtomicBool::new(false));
    let asking = (plan, &speaker, Arc::clone(&armed));
    let mut requests = pin!(requests(from_client, to_server, asking));
    let mut answers = pin!(answers(from_server, to_client, (armed, &speaker, held)));
    tokio::select! {
        biased;
        // Until then, or for ever where nobody can say so any more.
        Ok(()) = forgotten.changed() => pending().await,
        _ = &mut requests => {}
        _ = &mut answers => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (plan, speaker, armed): (Plan, &Speaker, Arc<AtomicBool>),
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        speaker.says(&buffer[..read]);
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
    (armed, speaker, mut held): (Arc<AtomicBool>, &Speaker, watch::Receiver<bool>),
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 || armed.load(SeqCst) {
            return Ok(());
        }
        // Until then, or at once where nobody can hold anything any more.
        let _ = held.wait_for(|is_held| !is_held).await;
        speaker.hears();
        to.write_all(&buffer[..read]).await?;
    }
}
