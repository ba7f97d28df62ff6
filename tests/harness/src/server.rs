//! Servers that a test may kill, stop and start again: each has one of its own.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// A redis-server of a test's own, or a valkey-server in its place.
pub struct Redis {
    process: Process,
}

impl Redis {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_program("redis-server", arguments)
    }

    /// A Valkey in the place of a Redis.
    pub fn start_valkey(arguments: &[&str]) -> Self {
        let program = std::env::var("SUNO_TEST_VALKEY_SERVER").expect(
            "SUNO_TEST_VALKEY_SERVER must be a valkey-server; \
             `. tests/servers.sh; servers_start` installs one",
        );
        Self::start_program(&program, arguments)
    }

    fn start_program(program: &str, arguments: &[&str]) -> Self {
        let port = free_port();
        let dir = Dir::new();
        let mut line: Vec<String> = [program, "--bind", "127.0.0.1", "--save", ""]
            .map(Into::into)
            .into();
        line.extend(["--port".into(), port.to_string()]);
        line.extend(["--dir".into(), dir.0.display().to_string()]);
        // By default a replica waits five seconds for others that might come.
        line.extend(["--repl-diskless-sync-delay", "0"].map(Into::into));
        line.extend(arguments.iter().map(|&argument| argument.into()));
        let process = Process::start(line, port, dir, None);
        Self { process }
    }

    /// A node of a Cluster.
    pub fn start_node(arguments: &[&str]) -> Self {
        let bus = free_port().to_string();
        let cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus];
        Self::start(&[&cluster, arguments].concat())
    }

    pub fn addr(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port()).into()
    }

    pub fn port(&self) -> u16 {
        self.process.port
    }

    /// Where it keeps its files.
    pub fn dir(&self) -> &Path {
        &self.process.dir.0
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub fn restart(&mut self) {
        self.process.restart();
    }

    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    pub fn resume(&self) {
        self.process.signal("CONT");
    }
}

#[cfg(feature = "redis")]
impl Redis {
    pub fn client(&self) -> redis::Client {
        redis::Client::open(format!("redis://{}/", self.addr())).unwrap()
    }

    /// Asks it directly, and waits for the answer.
    pub fn ask<T: redis::FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split_whitespace();
        let mut command = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        let mut connection = self.client().get_connection().unwrap();
        command.query(&mut connection).unwrap()
    }

    /// Makes it a replica of `primary`, and waits until it has all that is there now.
    pub fn follow(&self, primary: &Self) {
        let () = self.ask(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
        let all = primary.replicated("master_repl_offset:");
        let end = Instant::now() + Duration::from_secs(30);
        let has_it = || {
            let info: String = self.ask("INFO replication");
            let is_linked = info.contains("master_link_status:up");
            is_linked && self.replicated("slave_repl_offset:") >= all
        };
        while !has_it() {
            assert!(Instant::now() < end, "the replica must follow");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// How far a stream of changes has come.
    fn replicated(&self, name: &str) -> Option<u64> {
        let info: String = self.ask("INFO replication");
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }
}

/// A PostgreSQL of a test's own. It does not wait for the disk: no test cuts the power.
pub struct Postgres {
    process: Process,
}

impl Postgres {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more settings than those that it needs.
    pub fn start_with(settings: &[&str]) -> Self {
        Self::start_on(settings, |data, user| {
            let mut initdb = command(&postgres("initdb"), user);
            initdb.args(["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]);
            initdb.arg("--no-sync");
            initdb
        })
    }

    /// A replica that streams from this one. It commits nothing itself until it is promoted.
    pub fn start_replica(&self, settings: &[&str]) -> Self {
        let port = self.port().to_string();
        Self::start_on(settings, |data, user| {
            let mut backup = command(&postgres("pg_basebackup"), user);
            backup.args(["-D", data, "-h", "127.0.0.1", "-p", &port, "-U", "postgres"]);
            backup.args(["-R", "-X", "stream", "-c", "fast", "--no-sync"]);
            backup
        })
    }

    fn start_on(settings: &[&str], make: impl FnOnce(&str, Option<(u32, u32)>) -> Command) -> Self {
        let (port, dir, user) = (free_port(), Dir::new(), unprivileged());
        let data = dir.0.join("data").display().to_string();
        if let Some((uid, gid)) = user {
            chown(&dir.0, Some(uid), Some(gid)).unwrap();
        }
        let made = make(&data, user).output().unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut line = vec![postgres("postgres"), "-D".into(), data];
        let mut all = vec![
            "fsync=off".into(),
            "listen_addresses=127.0.0.1".into(),
            format!("port={port}"),
            format!("unix_socket_directories={}", dir.0.display()),
        ];
        all.extend(settings.iter().map(|&setting| setting.into()));
        line.extend(all.into_iter().flat_map(|setting| ["-c".into(), setting]));
        let server = Self {
            process: Process::start(line, port, dir, user),
        };
        server.wait_until_it_is_ready();
        server
    }

    /// It listens before it has recovered.
    fn wait_until_it_is_ready(&self) {
        let (end, port) = (Instant::now() + Duration::from_secs(30), self.port());
        let mut ready = Command::new(postgres("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
        while !ready.status().unwrap().success() {
            assert!(Instant::now() < end, "{}", self.process.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes a primary of a replica.
    pub fn promote(&self) {
        let data = self.process.dir.0.join("data").display().to_string();
        let mut promote = command(&postgres("pg_ctl"), self.process.user);
        let promoted = promote.args(["promote", "-w", "-D", &data]).output();
        assert!(promoted.unwrap().status.success(), "{}", self.process.log());
    }

    pub fn port(&self) -> u16 {
        self.process.port
    }

    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port()))
    }

    pub fn url(&self) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/postgres",
            self.process.port
        )
    }

    /// `kill -9` of the postmaster; its children end by themselves.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub fn restart(&mut self) {
        self.process.restart();
    }

    /// What `pg_ctl restart -m immediate` does, with a pause between: all connections are dropped,
    /// and the server recovers from its log.
    pub fn restart_immediately(&mut self, pause: Duration) {
        self.process.signal("QUIT");
        self.process.child.wait().unwrap();
        thread::sleep(pause);
        self.process.restart();
    }

    pub fn pause(&self) {
        self.signal_all("STOP");
    }

    pub fn resume(&self) {
        self.signal_all("CONT");
    }

    fn signal_all(&self, name: &str) {
        self.process.signal(name);
        let pid = self.process.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        for child in children.unwrap().split_whitespace() {
            signal(child, name);
        }
    }
}

/// A PgBouncer of a test's own, which pools by transaction.
pub struct PgBouncer {
    process: Process,
}

impl PgBouncer {
    /// In front of whatever `server` leads to.
    pub fn start(server: SocketAddr, settings: &[&str]) -> Self {
        let (port, dir, user) = (free_port(), Dir::new(), unprivileged());
        let file = dir.0.join("pgbouncer.ini");
        let mut text = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 5\n",
            server.port()
        );
        for setting in settings {
            text.push_str(setting);
            text.push('\n');
        }
        fs::write(&file, text).unwrap();
        let line = vec!["pgbouncer".into(), file.display().to_string()];
        let process = Process::start(line, port, dir, user);
        Self { process }
    }

    pub fn url(&self) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/postgres",
            self.process.port
        )
    }
}

struct Process {
    line: Vec<String>,
    port: u16,
    dir: Dir,
    user: Option<(u32, u32)>,
    child: Child,
}

impl Process {
    fn start(line: Vec<String>, port: u16, dir: Dir, user: Option<(u32, u32)>) -> Self {
        let child = spawn(&line, &dir, user);
        let mut process = Self {
            line,
            port,
            dir,
            user,
            child,
        };
        process.wait_until_it_listens();
        process
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = spawn(&self.line, &self.dir, self.user);
        self.wait_until_it_listens();
    }

    /// It may refuse to start while children of the one before are still ending.
    fn wait_until_it_listens(&mut self) {
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                Instant::now() < end,
                "{:?} does not start: {}",
                self.line,
                self.log()
            );
            if self.child.try_wait().unwrap().is_some() {
                self.child = spawn(&self.line, &self.dir, self.user);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, name: &str) {
        signal(&self.child.id().to_string(), name);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.0.join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("CONT");
        // An immediate shutdown of PostgreSQL, and of Redis with nothing to save.
        self.signal(
            if self.user.is_some() || self.line[0].ends_with("postgres") {
                "QUIT"
            } else {
                "KILL"
            },
        );
        let _ = self.child.wait();
    }
}

fn spawn(line: &[String], dir: &Dir, user: Option<(u32, u32)>) -> Child {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.0.join("log"));
    let log = log.unwrap();
    let mut command = command(&line[0], user);
    command.args(&line[1..]).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let child = command.spawn();
    child.unwrap_or_else(|error| panic!("{} must be installed: {error}", line[0]))
}

fn command(program: &str, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

fn signal(pid: &str, name: &str) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).arg(pid);
    let _ = kill.stderr(Stdio::null()).status();
}

/// A program of PostgreSQL, where Debian has it or in the path. In the path Debian has a wrapper for
/// clients, which wants to know the cluster.
fn postgres(program: &str) -> String {
    let mut places: Vec<PathBuf> = Vec::new();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path));
    let found = places
        .iter()
        .map(|place| place.join(program))
        .find(|file| file.exists());
    let found = found.unwrap_or_else(|| panic!("PostgreSQL must be installed: no {program}"));
    found.canonicalize().unwrap().display().to_string()
}

/// Who runs PostgreSQL where the tests run as root, as whom it refuses to run.
fn unprivileged() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let of = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}

/// A port that stays this process's own while its server is down: outside the range of outgoing
/// connections, and marked for other tests by a UDP socket of the same number.
pub fn free_port() -> u16 {
    static MARKS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    loop {
        let port = fastrand::u16(15_000..30_000);
        let Ok(mark) = UdpSocket::bind(("127.0.0.1", port)) else {
            continue;
        };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            MARKS.lock().unwrap().push(mark);
            return port;
        }
    }
}

struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, SeqCst);
        let name = format!("suno-callback-test-{}-{count}", std::process::id());
        let dir: &Path = &std::env::temp_dir().join(name);
        fs::create_dir(dir).unwrap();
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir.into())
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
