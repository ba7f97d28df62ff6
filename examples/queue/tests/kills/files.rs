//! Where the tracks are: a server that counts what is asked for.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// How long a file takes, so that kills hit downloads.
const SLOW: Duration = Duration::from_millis(20);

pub struct Files {
    addr: SocketAddr,
    fetched: Arc<Mutex<HashMap<String, usize>>>,
}

impl Files {
    pub fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let fetched = Arc::<Mutex<HashMap<String, usize>>>::default();
        let counts = Arc::clone(&fetched);
        thread::spawn(move || {
            for peer in listener.incoming() {
                let counts = Arc::clone(&counts);
                thread::spawn(move || answer(&peer.unwrap(), &counts));
            }
        });
        Self { addr, fetched }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    /// How many times a file was asked for beyond the first, of `files` that all were.
    pub fn fetched_again(&self, files: usize) -> usize {
        let fetched = self.fetched.lock().unwrap();
        assert_eq!(fetched.len(), files, "each file is fetched");
        fetched.values().map(|count| count - 1).sum()
    }
}

/// Whatever breaks here is a client that was killed.
fn answer(peer: &TcpStream, counts: &Mutex<HashMap<String, usize>>) {
    let mut lines = BufReader::new(peer).lines().map_while(Result::ok);
    while let Some(line) = lines.next() {
        let Some(path) = line.split(' ').nth(1) else {
            return;
        };
        *counts.lock().unwrap().entry(path.to_owned()).or_default() += 1;
        if lines.by_ref().take_while(|line| !line.is_empty()).count() == 0 {
            return;
        }
        thread::sleep(SLOW);
        let file = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nmusic";
        if (&mut &*peer).write_all(file.as_bytes()).is_err() {
            return;
        }
    }
}
