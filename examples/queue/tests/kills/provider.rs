//! The provider: sends each event until it is answered with 200, to whoever listens.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use harness::{
    Callback,
    program::{PATIENCE, attempt},
};
use http::StatusCode;

/// Links of an event.
pub const LINKS: usize = 2;

/// How many events are in flight at any time.
const SENDERS: usize = 8;

/// Between two tries.
const BACK_OFF: Duration = Duration::from_millis(20);

pub struct Provider {
    to: Arc<Mutex<SocketAddr>>,
    senders: Vec<JoinHandle<()>>,
}

/// The tasks of so many events, sorted.
pub fn tasks(events: usize) -> Vec<String> {
    (0..events)
        .map(|number| format!("task-{number:06}"))
        .collect()
}

impl Provider {
    /// Sends so many events, whose files are below `files`.
    pub fn send(events: usize, files: &str, to: SocketAddr) -> Self {
        let to = Arc::new(Mutex::new(to));
        let left = Arc::new(Mutex::new(tasks(events)));
        let sender = |_| {
            let (to, left, files) = (Arc::clone(&to), Arc::clone(&left), files.to_owned());
            thread::spawn(move || {
                while let Some(task) = { left.lock().unwrap().pop() } {
                    deliver(&task, &files, &to);
                }
            })
        };
        let senders = (0..SENDERS).map(sender).collect();
        Self { to, senders }
    }

    /// Where the next tries go.
    pub fn goes_to(&self, addr: SocketAddr) {
        *self.to.lock().unwrap() = addr;
    }

    /// Waits until all is acknowledged.
    pub fn finish(self) {
        for sender in self.senders {
            sender.join().expect("an event was not acknowledged");
        }
    }
}

fn deliver(task: &str, files: &str, to: &Mutex<SocketAddr>) {
    let end = Instant::now() + PATIENCE;
    loop {
        let to = *to.lock().unwrap();
        let status = attempt(to, "/callbacks/suno/music", &callback(task, files));
        if status == Some(StatusCode::OK) {
            return;
        }
        assert!(Instant::now() < end, "{task}: {status:?}");
        thread::sleep(BACK_OFF);
    }
}

fn callback(task: &str, files: &str) -> Callback {
    let track =
        |number| format!(r#"{{"id":"{task}-{number}","audio_url":"{files}{task}-{number}.mp3"}}"#);
    let tracks = (0..LINKS).map(track).collect::<Vec<_>>().join(",");
    let data = format!(r#"{{"callbackType":"complete","task_id":"{task}","data":[{tracks}]}}"#);
    Callback::new(task, format!(r#"{{"code":200,"msg":"ok","data":{data}}}"#))
}
