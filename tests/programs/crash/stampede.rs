//! Many twins of many tasks at once, on many processes: each task is handed over once.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::task::JoinSet;

use harness::{Callback, counts::STAMPEDE};

use super::{
    fleet::{Journal, Receiver},
    store::{Backend, Store},
    turn,
};

const TWINS: usize = 64;
const TASKS_AT_A_TIME: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stampede_on_sqlite_runs_each_task_once() {
    stampedes("sqlite", Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stampede_on_postgres_runs_each_task_once() {
    stampedes("postgres", Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stampede_on_redis_runs_each_task_once() {
    stampedes("redis", Backend::Redis).await;
}

async fn stampedes(name: &str, backend: Backend) {
    let _turn = turn().await;
    for processes in [2, 8] {
        stampede(name, backend, processes).await;
    }
}

async fn stampede(name: &str, backend: Backend, processes: usize) {
    let tasks = STAMPEDE.size();
    let store = Store::new(backend).await;
    let journal = Journal::new("warn");
    let arguments = ["--handler-delay".into(), "10ms".into()];
    allow_many_connections();
    let mut receivers = Vec::new();
    for _ in 0..processes {
        receivers.push(Receiver::start(&store, &arguments, &journal).await);
    }
    let clients: Arc<Vec<Connections>> =
        Arc::new(receivers.iter().map(|to| Connections::to(to)).collect());
    let (began, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut lanes = JoinSet::new();
    for _ in 0..TASKS_AT_A_TIME {
        let (clients, next) = (Arc::clone(&clients), Arc::clone(&next));
        lanes.spawn(async move {
            loop {
                let task = next.fetch_add(1, SeqCst);
                if task >= tasks {
                    break;
                }
                twins(&clients, &format!("task-{task}")).await;
            }
        });
    }
    lanes.join_all().await;
    let took = began.elapsed();
    for receiver in &receivers {
        receiver.kill().await; // and with it all that it said has been read
    }
    let mut run: Vec<String> =
        journal.look(|said| said.runs.iter().map(|run| run.task.clone()).collect());
    let troubles = journal.look(|said| said.count("WARN") + said.count("ERROR"));
    println!(
        "stampede, {name}: {processes} processes, {tasks} tasks of {TWINS} twins each, \
         {TASKS_AT_A_TIME} tasks at a time: {} hand-overs, {} answers, all 200, {troubles} \
         warnings, {took:.1?}",
        run.len(),
        tasks * TWINS
    );
    assert_eq!(run.len(), tasks);
    run.sort_unstable();
    run.dedup();
    assert_eq!(run.len(), tasks, "each once");
    store.remove().await;
}

/// All twins of one task, spread over all processes.
async fn twins(clients: &[Connections], task: &str) {
    let callback = Callback::success(task, "voice");
    let twins = (0..TWINS).map(|twin| clients[twin % clients.len()].send(&callback));
    for (twin, status) in futures_util::future::join_all(twins)
        .await
        .iter()
        .enumerate()
    {
        assert_eq!(*status, StatusCode::OK, "{task}, twin {twin}");
    }
}

/// To one process, over a connection for each request that is under way.
struct Connections {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Connections {
    fn to(receiver: &Receiver) -> Self {
        Self {
            url: format!("http://{}/", receiver.addr),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    async fn send(&self, callback: &Callback) -> StatusCode {
        let response = self.client.request(callback.request_to(&self.url)).await;
        let response = response.unwrap();
        let status = response.status();
        response.into_body().collect().await.unwrap();
        status
    }
}

/// Two thousand connections need more descriptors than some systems give at first. The receivers
/// inherit them.
fn allow_many_connections() {
    let process = std::process::id().to_string();
    let arguments = ["--nofile=8192:", "--pid", &process];
    let raised = Command::new("prlimit").args(arguments).status();
    let raised = raised.expect("prlimit, of util-linux");
    assert!(raised.success(), "this test needs 8192 file descriptors");
}
