//! Receivers as processes: started, killed, stopped and continued, and what they say.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use super::store::Store;
use harness::KEY;

/// The program that cargo built beside this test.
fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop(); // this test
    path.pop(); // deps
    path.join("receiver")
}

/// One process.
pub struct Receiver {
    pub addr: SocketAddr,
    number: usize,
    pid: u32,
    child: Mutex<Child>,
    killed: OnceLock<Instant>,
    readers: Mutex<Vec<JoinHandle<()>>>,
}

impl Receiver {
    /// Ready to receive when this returns.
    pub async fn start(store: &Store, arguments: &[String], journal: &Arc<Journal>) -> Arc<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let program = program();
        let mut child = Command::new(&program)
            .args(["--listen", "127.0.0.1:0", "--path", "/"])
            .args(["--store", &store.url, "--namespace", &store.name])
            .args(arguments)
            .env("SUNO_WEBHOOK_HMAC_KEY", KEY)
            .env_remove("SUNO_WEBHOOK_HMAC_KEY_PREVIOUS")
            .env("RUST_LOG", journal.level)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program:?}: {error}; `cargo build -p receiver --all-features` builds it")
            });
        let number = NUMBER.fetch_add(1, Relaxed);
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let addr = address(&mut log).await;
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        let readers = vec![
            Arc::clone(journal).read(events, move |said, line| said.hand_over(number, &line)),
            Arc::clone(journal).read(log, move |said, line| said.log(number, line)),
        ];
        Arc::new(Self {
            addr,
            number,
            pid: child.id().unwrap(),
            child: child.into(),
            killed: OnceLock::new(),
            readers: readers.into(),
        })
    }

    /// `kill -9`. Whatever it said is in the journal when this returns.
    pub async fn kill(&self) {
        // First, so that whoever sees the connection break knows why.
        let _ = self.killed.set(Instant::now());
        self.child.lock().unwrap().start_kill().unwrap();
        let readers = std::mem::take(&mut *self.readers.lock().unwrap());
        for reader in readers {
            reader.await.unwrap();
        }
    }

    /// When it was killed, if it was.
    pub fn killed(&self) -> Option<Instant> {
        self.killed.get().copied()
    }

    pub fn is(&self, number: usize) -> bool {
        self.number == number
    }

    pub async fn stop(&self) {
        self.signal("-STOP").await;
    }

    pub async fn resume(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, name: &str) {
        let pid = self.pid.to_string();
        let sent = Command::new("kill").args([name, &pid]).status().await;
        assert!(sent.unwrap().success(), "kill {name}");
    }
}

/// Waits for the line that says where it listens.
async fn address(log: &mut Lines<BufReader<ChildStderr>>) -> SocketAddr {
    let mut said = String::new();
    let wait = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if let Some(url) = line.strip_prefix("listening on http://") {
                return Some(url.trim_end_matches('/').parse().unwrap());
            }
            said = format!("{said}{line}\n");
        }
        None
    };
    let addr = timeout(Duration::from_secs(30), wait).await;
    let addr = addr.ok().flatten();
    addr.unwrap_or_else(|| panic!("the receiver did not start: {said}"))
}

/// What a group of receivers has said so far.
pub struct Journal {
    level: &'static str,
    said: Mutex<Said>,
    changes: watch::Sender<()>,
}

#[derive(Default)]
pub struct Said {
    /// Hand-overs, in the order in which they were read.
    pub runs: Vec<Run>,
    /// Tasks whose handler came to its end.
    pub handled: Vec<String>,
    /// Everything else on stderr, with the number of who said it.
    log: Vec<(usize, String)>,
}

/// One hand-over.
#[derive(Clone, Debug)]
pub struct Run {
    pub task: String,
    pub attempt: u64,
    pub at: Instant,
    receiver: usize,
}

impl Run {
    pub fn is_on(&self, receiver: &Receiver) -> bool {
        receiver.is(self.receiver)
    }
}

impl Journal {
    /// Of receivers that log `level`.
    pub fn new(level: &'static str) -> Arc<Self> {
        Arc::new(Self {
            level,
            said: Mutex::default(),
            changes: watch::Sender::new(()),
        })
    }

    pub fn look<T>(&self, look: impl FnOnce(&Said) -> T) -> T {
        look(&self.said.lock().unwrap())
    }

    /// Waits until `find` finds something.
    pub async fn wait<T>(&self, what: &str, find: impl Fn(&Said) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        let found = async {
            loop {
                if let Some(found) = self.look(&find) {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        let found = timeout(Duration::from_secs(30), found).await;
        found.unwrap_or_else(|_| panic!("never came: {what}"))
    }

    fn read<R: AsyncRead + Unpin + Send + 'static>(
        self: Arc<Self>,
        mut lines: Lines<BufReader<R>>,
        note: impl Fn(&mut Said, String) + Send + 'static,
    ) -> JoinHandle<()> {
        tokio::spawn(async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                note(&mut self.said.lock().unwrap(), line);
                self.changes.send_replace(());
            }
        })
    }
}

impl Said {
    fn hand_over(&mut self, receiver: usize, line: &str) {
        // A process that is killed while it writes leaves half a line.
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else {
            return;
        };
        self.runs.push(Run {
            task: event["taskId"].as_str().unwrap().into(),
            attempt: event["attempt"].as_u64().unwrap(),
            at: Instant::now(),
            receiver,
        });
    }

    fn log(&mut self, receiver: usize, line: String) {
        match line.split_once("the handler has done its work task_id=\"") {
            Some((_, task)) => self.handled.push(task.trim_end_matches('"').into()),
            None => self.log.push((receiver, line)),
        }
    }

    pub fn runs_of<'a>(&'a self, task: &'a str) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(move |run| run.task == task)
    }

    /// How many lines of `receiver` about `task` have `text` in them.
    pub fn lines(&self, receiver: &Receiver, task: &str, text: &str) -> usize {
        let about = format!("task_id=\"{task}\"");
        let of = self.log.iter().filter(|(number, _)| receiver.is(*number));
        of.filter(|(_, line)| line.contains(&about) && line.contains(text))
            .count()
    }

    /// How many lines have `text` in them, whoever said it.
    pub fn count(&self, text: &str) -> usize {
        let lines = self.log.iter();
        lines.filter(|(_, line)| line.contains(text)).count()
    }
}
