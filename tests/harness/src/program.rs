//! The examples as programs, for tests that run them over real sockets.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use http::Uri;

use crate::KEY;

/// The program that cargo built beside this test.
pub fn example(name: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop(); // this test
    path.pop(); // deps
    let mut command = Command::new(path.join("examples").join(name));
    command.env("SUNO_WEBHOOK_HMAC_KEY", KEY);
    command.env_remove("SUNO_WEBHOOK_HMAC_KEY_PREVIOUS");
    command.env_remove("RUST_LOG");
    command
}

pub fn output(command: &mut Command) -> Output {
    command.output().expect("the example was built")
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
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example was built");
        let mut lines = Lines {
            before: String::new(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            stderr: BufReader::new(child.stderr.take().unwrap()),
        };
        let uri = loop {
            let mut line = String::new();
            let read = match from {
                From::Stdout => lines.stdout.read_line(&mut line).unwrap(),
                From::Stderr => lines.stderr.read_line(&mut line).unwrap(),
            };
            assert!(read > 0, "it ended and said {:?}", lines.before);
            if let Some(at) = line.find("http://") {
                break line[at..].trim().parse::<Uri>().unwrap();
            }
            lines.before.push_str(&line);
        };
        let addr = uri.authority().unwrap().as_str().parse().unwrap();
        let path = uri.path().to_owned();
        (Self { child, addr, path }, lines)
    }

    pub fn url(&self) -> String {
        format!("http://{}{}", self.addr, self.path)
    }

    pub fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "SIGTERM did not end the receiver");
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub enum From {
    Stdout,
    Stderr,
}

pub struct Lines {
    /// What came before the line that says where it listens.
    pub before: String,
    pub stdout: BufReader<ChildStdout>,
    pub stderr: BufReader<ChildStderr>,
}

impl Lines {
    pub fn next_event(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON line: {line:?}"))
    }

    pub fn rest(mut self) -> (String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.stderr.read_to_string(&mut err).unwrap();
        (out, err)
    }
}

pub fn receiver(arguments: &[&str]) -> (Server, Lines) {
    let mut command = example("receiver");
    command.args(["--listen", "127.0.0.1:0"]).args(arguments);
    Server::start(&mut command, From::Stderr)
}

pub fn send(server: &Server, arguments: &[&str]) -> (bool, String) {
    let mut command = example("send");
    command
        .args(["--to", &server.url(), "--backoff", "0.05"])
        .args(arguments);
    let output = output(&mut command);
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), text)
}
