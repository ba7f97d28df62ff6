//! The examples as programs, for tests that run them over real sockets.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use http::{StatusCode, Uri};

use crate::{Callback, KEY};

/// How long anything may take that must come: far beyond need, on a machine that is busy too.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The example that cargo built beside this test. One that is a package of its own is a program of
/// that package.
pub fn example(name: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop(); // this test
    path.pop(); // deps
    let of_a_package = path.join(name);
    match of_a_package.exists() {
        true => program(of_a_package),
        false => program(path.join("examples").join(name)),
    }
}

/// A program that ends with the thread that starts it, so that a test which is killed leaves
/// nothing behind.
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(path);
    command.env("SUNO_WEBHOOK_HMAC_KEY", KEY);
    command.env_remove("SUNO_WEBHOOK_HMAC_KEY_PREVIOUS");
    command.env_remove("RUST_LOG");
    command.stdin(Stdio::null());
    command
}

pub fn output(command: &mut Command) -> Output {
    command.output().expect("setpriv, of util-linux")
}

/// Starts a program that ends by itself.
pub fn spawn(command: &mut Command) -> Child {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("setpriv, of util-linux")
}

/// A program that serves; killed when the test is over.
pub struct Server {
    pub child: Child,
    pub addr: SocketAddr,
    pub path: String,
}

impl Server {
    /// Waits for the line that says where it listens, on `from`.
    pub fn start(command: &mut Command, from: From) -> (Self, Lines) {
        let mut child = spawn(command);
        let lines = Lines {
            stdout: Stream::new(child.stdout.take().unwrap()),
            stderr: Stream::new(child.stderr.take().unwrap()),
        };
        let stream = match from {
            From::Stdout => &lines.stdout,
            From::Stderr => &lines.stderr,
        };
        let listening = stream.find("listening on http://");
        let line = listening.unwrap_or_else(|_| {
            let said = [&lines.stdout, &lines.stderr].map(Stream::so_far);
            panic!("it does not listen: {said:?}")
        });
        let url = &line[line.find("http://").unwrap()..];
        let uri: Uri = url.split([' ', ';', '\n']).next().unwrap().parse().unwrap();
        let addr = uri.authority().unwrap().as_str().parse().unwrap();
        let path = uri.path().to_owned();
        (Self { child, addr, path }, lines)
    }

    pub fn url(&self) -> String {
        format!("http://{}{}", self.addr, self.path)
    }

    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(kill.unwrap().success(), "kill -s {name}");
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) -> ExitStatus {
        ended(&mut self.child).expect("it must end")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a program has ended. `None` when it does not.
pub fn ended(child: &mut Child) -> Option<ExitStatus> {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = child.try_wait().unwrap();
        if status.is_some() || Instant::now() > end {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

pub enum From {
    Stdout,
    Stderr,
}

/// What a program says.
pub struct Lines {
    pub stdout: Stream,
    pub stderr: Stream,
}

impl Lines {
    /// The next event that the receiver hands over.
    pub fn next_event(&mut self) -> serde_json::Value {
        let line = self.stdout.next_line();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON line: {line:?}"))
    }

    /// What it said on stdout and was not read, and all that it said on stderr. Waits for its end.
    pub fn rest(self) -> (String, String) {
        let out = self.stdout.whole();
        (out[self.stdout.read..].to_owned(), self.stderr.whole())
    }
}

/// Read as it comes, so that no program ever waits for its reader.
pub struct Stream {
    said: Arc<(Mutex<Said>, Condvar)>,
    /// How much [`Stream::next_line`] has given.
    read: usize,
}

#[derive(Default)]
struct Said {
    text: String,
    is_over: bool,
}

impl Stream {
    pub fn new(stream: impl Read + Send + 'static) -> Self {
        let said = Arc::<(Mutex<Said>, Condvar)>::default();
        let (writer, mut stream) = (Arc::clone(&said), BufReader::new(stream));
        thread::spawn(move || {
            loop {
                let mut line = Vec::new();
                let read = stream.read_until(b'\n', &mut line).unwrap_or(0);
                let mut said = writer.0.lock().unwrap();
                said.text.push_str(&String::from_utf8_lossy(&line));
                said.is_over = read == 0;
                writer.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Self { said, read: 0 }
    }

    /// The first line with `text` in it, as soon as it is there.
    pub fn wait_for(&self, text: &str) -> String {
        let found = self.find(text);
        found.unwrap_or_else(|said| panic!("{text:?} never came, but {said:?}"))
    }

    fn find(&self, text: &str) -> Result<String, String> {
        self.try_wait(|said| {
            let line = said.text.lines().find(|line| line.contains(text));
            line.map(Into::into)
        })
    }

    fn so_far(&self) -> String {
        self.said.0.lock().unwrap().text.clone()
    }

    /// The first line that was not given yet.
    pub fn next_line(&mut self) -> String {
        let read = self.read;
        let line = self.wait("another line", |said| {
            let rest = &said.text[read..];
            rest.find('\n').map(|end| rest[..=end].to_owned())
        });
        self.read += line.len();
        line
    }

    /// Everything, when there is no more to come.
    pub fn whole(&self) -> String {
        self.wait("its end", |said| said.is_over.then(|| said.text.clone()))
    }

    fn wait<T>(&self, what: &str, find: impl Fn(&Said) -> Option<T>) -> T {
        let found = self.try_wait(find);
        found.unwrap_or_else(|said| panic!("{what:?} never came, but {said:?}"))
    }

    /// Or else what it has said instead.
    fn try_wait<T>(&self, find: impl Fn(&Said) -> Option<T>) -> Result<T, String> {
        let end = Instant::now() + PATIENCE;
        let mut said = self.said.0.lock().unwrap();
        loop {
            if let Some(found) = find(&said) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if said.is_over || left.is_zero() {
                return Err(said.text.clone());
            }
            said = self.said.1.wait_timeout(said, left).unwrap().0;
        }
    }
}

pub fn receiver(arguments: &[&str]) -> (Server, Lines) {
    let mut command = example("receiver");
    command.args(["--listen", "127.0.0.1:0"]).args(arguments);
    Server::start(&mut command, From::Stderr)
}

pub fn send(server: &Server, arguments: &[&str]) -> (bool, String) {
    let mut command = example("send");
    command.args(["--to", &server.url(), "--backoff", "0.05"]);
    let output = output(command.args(arguments));
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), text)
}

/// A request over a connection of its own; status and text.
pub fn get(addr: SocketAddr, path: &str) -> (String, String) {
    let mut peer = TcpStream::connect(addr).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: receiver\r\nConnection: close\r\n\r\n");
    peer.write_all(request.as_bytes()).unwrap();
    answer(peer)
}

/// Sends a callback over a connection of its own to whoever listens there, as the provider does it: a
/// status, unless nobody did or the connection broke.
pub fn attempt(addr: SocketAddr, path: &str, callback: &Callback) -> Option<StatusCode> {
    let mut peer = TcpStream::connect(addr).ok()?;
    peer.set_read_timeout(Some(Duration::from_secs(15))).ok()?;
    let request = String::from_utf8(callback.wire()).unwrap();
    let request = request.replacen("POST / ", &format!("POST {path} "), 1);
    let request = request.replacen("host:", "connection: close\r\nhost:", 1);
    peer.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    peer.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// What came back on a connection that is closed behind it.
pub fn answer(mut peer: TcpStream) -> (String, String) {
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    peer.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.to_owned(), body.to_owned())
}

/// Waits until the program has read all that `peer` sent: the kernel holds none of it any more.
pub fn is_read(peer: &TcpStream) {
    let end = Instant::now() + PATIENCE;
    let (theirs, ours) = (peer.peer_addr().unwrap(), peer.local_addr().unwrap());
    let (theirs, ours) = (port(theirs), port(ours));
    loop {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut sockets = sockets.lines().map(|line| line.split_whitespace());
        let unread = sockets.find_map(|mut fields| {
            let (local, remote) = (fields.nth(1)?, fields.next()?);
            let queues = fields.nth(1)?;
            let found = local.ends_with(&theirs) && remote.ends_with(&ours);
            found.then(|| !queues.ends_with(":00000000"))
        });
        if unread == Some(false) {
            return;
        }
        assert!(Instant::now() < end, "nobody reads");
        thread::sleep(Duration::from_millis(2));
    }
}

fn port(addr: SocketAddr) -> String {
    format!(":{:04X}", addr.port())
}
