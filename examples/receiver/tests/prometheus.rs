//! A Prometheus of one test, on loopback, that looks every second.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use harness::{
    program::{PATIENCE, get, program},
    server::free_port,
};
use serde_json::Value;

pub struct Prometheus {
    child: Child,
    addr: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    /// Scrapes each job's receiver, and evaluates `rules`.
    pub fn start(jobs: &BTreeMap<&str, SocketAddr>, rules: &str) -> Self {
        let name = format!(
            "prometheus-{}-{:?}",
            std::process::id(),
            thread::current().id()
        );
        let folder = std::env::temp_dir().join(name.replace(['(', ')'], ""));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("rules.yml"), rules).unwrap();
        fs::write(folder.join("prometheus.yml"), config(jobs)).unwrap();
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = program("prometheus");
        command
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        let child = command.spawn().expect("setpriv, of util-linux");
        let it = Self {
            child,
            addr,
            folder,
        };
        it.wait("it to be ready", || {
            let there = std::net::TcpStream::connect(addr).is_ok();
            (there && get(addr, "/-/ready").0 == "200").then_some(())
        });
        it
    }

    /// Waits for what must come.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(
                Instant::now() < end,
                "waited for {what}; what has fired: {:?}",
                self.fired()
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The alerts that fire or have fired, each with its job.
    pub fn fired(&self) -> BTreeSet<(String, String)> {
        let fired = self.query(r#"count_over_time(ALERTS{alertstate="firing"}[1h])"#);
        let word = |alert: &Value, label: &str| alert["metric"][label].as_str().unwrap().to_owned();
        let fired = fired.iter();
        fired
            .map(|alert| (word(alert, "alertname"), word(alert, "job")))
            .collect()
    }

    /// The series of an expression. It must be one.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let encoded = expression.bytes().map(|byte| format!("%{byte:02X}"));
        let found = self.api(&format!(
            "/api/v1/query?query={}",
            encoded.collect::<String>()
        ));
        found["result"].as_array().unwrap().clone()
    }

    fn api(&self, path: &str) -> Value {
        let (status, body) = get(self.addr, path);
        assert_eq!(status, "200", "{path}: {body}");
        let start = body.find('{').unwrap();
        let end = body.rfind('}').unwrap();
        let answer: Value = serde_json::from_str(&body[start..=end]).unwrap();
        answer["data"].clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn config(jobs: &BTreeMap<&str, SocketAddr>) -> String {
    let mut config = String::from(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n\
         rule_files: [rules.yml]\nscrape_configs:\n",
    );
    for (job, addr) in jobs {
        config +=
            &format!("  - {{job_name: {job}, static_configs: [{{targets: [\"{addr}\"]}}]}}\n");
    }
    config
}

/// `promtool` on files of `deploy`.
pub fn promtool(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("promtool");
    command.args(arguments);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy"));
    let output = command.output().expect("promtool, of Debian's prometheus");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}
