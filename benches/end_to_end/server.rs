//! A server in a process of its own, which ends with whoever started it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::{Router, routing::post};
use bytes::Bytes;

use crate::{by_hand, mounted};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bare,
    ByHand,
    Layer,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Bare, Self::ByHand, Self::Layer];

    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare router",
            Self::ByHand => "by hand",
            Self::Layer => "layer",
        }
    }

    pub fn named(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.expect("the name of a kind")
    }
}

/// Serves until the input ends.
pub fn serve(kind: Kind) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let router = match kind {
            // It reads the body too: what is left of one breaks a stream of HTTP/2.
            Kind::Bare => Router::new().route("/voice", post(async |_: Bytes| {})),
            Kind::ByHand => by_hand::typed(),
            Kind::Layer => mounted::at_a_route(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        std::thread::spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
        axum::serve(listener, router).await.expect("it serves");
    });
}

pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    pub fn start(kind: Kind) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--serve", kind.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let said = child.stdout.take().expect("it is piped");
        BufReader::new(said)
            .read_line(&mut line)
            .expect("it says where it is");
        let address = line.trim().parse().expect("an address");
        Self { child, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The processor's time that all its threads had.
    pub fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("its threads");
        let of = |task: fs::DirEntry| {
            let statistics = fs::read_to_string(task.path().join("schedstat")).ok()?;
            statistics
                .split_whitespace()
                .next()?
                .parse()
                .ok()
                .map(Duration::from_nanos)
        };
        tasks.flatten().filter_map(of).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
