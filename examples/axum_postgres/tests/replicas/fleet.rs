//! The replicas and the proxy in front of them, as `haproxy.cfg` says.

use std::{
    env,
    net::{SocketAddr, TcpStream},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use harness::{
    program::{From, Lines, PATIENCE, Server, get, program},
    server::free_port,
};

use crate::books::Books;

pub const REPLICAS: usize = 3;

pub const NAMES: [&str; REPLICAS] = ["one", "two", "three"];

pub struct Fleet {
    /// The one address.
    pub addr: SocketAddr,
    replicas: Vec<Replica>,
    _proxy: Proxy,
}

struct Replica {
    url: String,
    addr: SocketAddr,
    process: (Server, Lines),
}

struct Proxy(Child);

impl Fleet {
    pub fn start(books: &Books) -> Self {
        let replicas: Vec<_> = NAMES.map(|name| Replica::start(&books.url_of(name))).into();
        let addr = local(free_port());
        let proxy = Proxy::start(addr, &replicas);
        Self {
            addr,
            replicas,
            _proxy: proxy,
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self, replica: usize) {
        let child = &mut self.replicas[replica].process.0.child;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// At the address that it had.
    pub fn restart(&mut self, replica: usize) {
        let replica = &mut self.replicas[replica];
        replica.process = serve(&replica.url, replica.addr);
    }
}

impl Replica {
    fn start(url: &str) -> Self {
        let addr = local(free_port());
        Self {
            url: url.to_owned(),
            addr,
            process: serve(url, addr),
        }
    }
}

fn serve(url: &str, addr: SocketAddr) -> (Server, Lines) {
    let mut command = program(env!("CARGO_BIN_EXE_axum_postgres"));
    Server::start(command.args([url, &addr.to_string()]), From::Stdout)
}

impl Proxy {
    /// Ready when it passes requests on to a replica.
    fn start(addr: SocketAddr, replicas: &[Replica]) -> Self {
        let path = env::var("PATH").unwrap_or_default();
        let mut command = program("haproxy");
        command.env("PATH", format!("{path}:/usr/sbin"));
        command.env("LISTEN", addr.to_string());
        for (name, replica) in NAMES.iter().zip(replicas) {
            command.env(name.to_uppercase(), replica.addr.to_string());
        }
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/haproxy.cfg");
        let command = command.args(["-db", "-f", config]).stdout(Stdio::null());
        let proxy = Self(command.spawn().unwrap());
        let end = Instant::now() + PATIENCE;
        // 405 is a replica's word.
        while TcpStream::connect(addr).is_err() || get(addr, "/callbacks/suno/voice").0 != "405" {
            assert!(Instant::now() < end, "haproxy must start");
            thread::sleep(Duration::from_millis(10));
        }
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}
