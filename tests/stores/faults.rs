//! The layer while its store is killed, stopped and started again under load. Every test has a
//! server of its own.
//!
//! What must hold: each answer is one of the contract, nothing acknowledged is lost, and each event
//! is acknowledged once its store is back. Where the store forgets nothing, each event is also
//! handled exactly once, because its process lives through it all.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use harness::server::{Postgres, Redis};
use harness::{Callback, answer, key};
use http::{Request, StatusCode};
use http_body_util::Full;
use sqlx::{PgPool, postgres::PgPoolOptions};
use suno_callback::{
    DedupStore, SunoCallbackLayer, Times, VoiceEvent,
    store::{PostgresStore, RedisStore},
};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::interval,
};
use tower::{BoxError, Layer, ServiceExt, service_fn, util::BoxCloneService};

/// How often an event comes, as long as the machine keeps up.
const PACE: Duration = Duration::from_millis(20);

/// How many events are on their way at most: a machine with other work gets fewer, not a queue.
const AT_ONCE: usize = 100;

/// How many events must be taken before something happens again.
const STRETCH: usize = 100;

/// How long a fault lasts. Longer than a lease.
const FAULT: Duration = Duration::from_secs(3);

fn times() -> Times {
    Times {
        store_operation: Duration::from_millis(500),
        lease: Duration::from_secs(2),
        heartbeat: Duration::from_millis(500),
        poll: Duration::from_millis(200),
        ..Times::default()
    }
}

/// How often each task was handled.
#[derive(Clone, Default)]
struct Runs(Arc<Mutex<HashMap<String, usize>>>);

impl Runs {
    fn add(&self, task_id: &str) {
        *self.0.lock().unwrap().entry(task_id.into()).or_default() += 1;
    }

    fn of(&self, task_id: &str) -> usize {
        self.0.lock().unwrap().get(task_id).copied().unwrap_or(0)
    }

    fn sum(&self) -> usize {
        self.0.lock().unwrap().values().sum()
    }
}

/// What came of a load.
struct Outcome {
    /// Tasks that were answered with 200.
    acknowledged: Vec<String>,
    postponed: usize,
    /// Tries that bridged a part of a fault.
    patient: usize,
    runs: Runs,
}

/// Sends events until `faults` has ended.
async fn under_load<S: Send + 'static>(
    store: impl DedupStore,
    mut server: S,
    faults: impl FnOnce(&mut S, &dyn Fn()) + Send + 'static,
) -> (Outcome, S) {
    let (runs, postponed) = (Runs::default(), Arc::new(AtomicUsize::new(0)));
    let patient = Arc::new(AtomicUsize::new(0));
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let over = Arc::new(AtomicBool::new(false));
    let handler = {
        let runs = runs.clone();
        service_fn(move |request: Request<Full<Bytes>>| {
            let event: VoiceEvent = request.extensions().get().cloned().unwrap();
            let runs = runs.clone();
            async move {
                // Some work, so that faults also hit between claim and commit.
                tokio::time::sleep(Duration::from_millis(10)).await;
                runs.add(event.task_id().as_str());
                Ok::<_, BoxError>(answer(StatusCode::OK))
            }
        })
    };
    let layer = SunoCallbackLayer::new(key(), store).times(times()).unwrap();
    let drain = layer.drain();
    let calls = tokio::spawn({
        let load = Load {
            service: BoxCloneService::new(layer.layer(handler)),
            acknowledged: Arc::clone(&acknowledged),
            postponed: Arc::clone(&postponed),
            patient: Arc::clone(&patient),
        };
        let over = Arc::clone(&over);
        async move {
            let (mut calls, mut pace) = (JoinSet::new(), interval(PACE));
            for number in 0.. {
                if over.load(SeqCst) {
                    break;
                }
                pace.tick().await;
                if calls.len() >= AT_ONCE {
                    calls.join_next().await.unwrap().unwrap();
                }
                calls.spawn(load.clone().deliver(format!("task-{number}")));
            }
            while let Some(call) = calls.join_next().await {
                call.unwrap();
            }
        }
    });

    let progress = Arc::clone(&acknowledged);
    let faults = spawn_blocking(move || {
        faults(&mut server, &|| wait_for_more(&progress));
        server
    });
    let server = faults.await.unwrap();
    over.store(true, SeqCst);
    calls.await.unwrap();
    // An event may have been acknowledged before its commit was taken.
    let drained = drain.finish(Duration::from_secs(60)).await;
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    let acknowledged = acknowledged.lock().unwrap().clone();
    let outcome = Outcome {
        acknowledged,
        postponed: postponed.load(SeqCst),
        patient: patient.load(SeqCst),
        runs,
    };
    (outcome, server)
}

type Response = http::Response<suno_callback::ResponseBody<Full<Bytes>>>;

#[derive(Clone)]
struct Load {
    service: BoxCloneService<Request<Full<Bytes>>, Response, BoxError>,
    acknowledged: Arc<Mutex<Vec<String>>>,
    postponed: Arc<AtomicUsize>,
    patient: Arc<AtomicUsize>,
}

impl Load {
    /// Sends one event until it is acknowledged.
    async fn deliver(self, task: String) {
        let callback = Callback::success(&task, "voice");
        // That each answer comes by its deadline is for paused time to show.
        loop {
            let began = Instant::now();
            let response = self.service.clone().oneshot(callback.request()).await;
            match response.unwrap().status() {
                StatusCode::OK => {
                    let bridged = began.elapsed() > FAULT / 6;
                    self.patient.fetch_add(bridged.into(), SeqCst);
                    break;
                }
                StatusCode::SERVICE_UNAVAILABLE => self.postponed.fetch_add(1, SeqCst),
                other => panic!("{other} is not in the contract here"),
            };
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.acknowledged.lock().unwrap().push(task);
    }
}

/// Waits until the load goes on as if nothing had happened.
fn wait_for_more(acknowledged: &Mutex<Vec<String>>) {
    let goal = acknowledged.lock().unwrap().len() + STRETCH;
    let end = Instant::now() + Duration::from_secs(60);
    while acknowledged.lock().unwrap().len() < goal {
        assert!(
            Instant::now() < end,
            "the load must go on when the store is back"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

impl Outcome {
    fn nothing_acknowledged_is_lost(&self, what: &str) {
        let (events, runs) = (self.acknowledged.len(), self.runs.sum());
        println!(
            "{what}: {events} events, {} postponed, {} patient, {runs} runs",
            self.postponed, self.patient
        );
        assert!(
            self.postponed + self.patient > 0,
            "{what}: no fault was felt"
        );
        for task in &self.acknowledged {
            assert!(
                self.runs.of(task) > 0,
                "{what}: {task} was acknowledged and lost"
            );
        }
    }

    fn everything_ran_once(&self, what: &str) {
        for task in &self.acknowledged {
            assert_eq!(self.runs.of(task), 1, "{what}: runs of {task}");
        }
    }

    /// After all that, another replica knows every event.
    async fn is_remembered_by(&self, store: impl DedupStore) {
        let handler = service_fn(|request: Request<Full<Bytes>>| async move {
            let event: VoiceEvent = request.extensions().get().cloned().unwrap();
            panic!("{} was forgotten", event.task_id().as_str());
            #[allow(unreachable_code)]
            Ok::<_, BoxError>(answer(StatusCode::OK))
        });
        let service = SunoCallbackLayer::new(key(), store).layer(handler);
        for task in &self.acknowledged {
            let request = Callback::success(task, "voice").request();
            let response = service.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{task}");
        }
    }
}

async fn postgres(server: &Postgres) -> PostgresStore {
    let pool: PgPool = PgPoolOptions::new()
        .max_connections(10)
        .acquire_timeout(Duration::from_secs(10))
        .connect(&server.url())
        .await
        .unwrap();
    let store = PostgresStore::new(pool);
    store.migrate().await.unwrap();
    store
}

fn redis(server: &Redis) -> RedisStore {
    RedisStore::new(server.client())
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_killed_under_load() {
    let server = Postgres::start();
    let store = postgres(&server).await;
    let outcome = under_load(store, server, |server, load_goes_on| {
        for _ in 0..2 {
            load_goes_on();
            server.kill();
            thread::sleep(FAULT);
            server.restart();
        }
        load_goes_on();
    });
    let (outcome, server) = outcome.await;
    outcome.nothing_acknowledged_is_lost("postgres killed");
    outcome.everything_ran_once("postgres killed");
    let replica = postgres(&server).await;
    outcome.is_remembered_by(replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_restarted_immediately_under_load() {
    let server = Postgres::start();
    let store = postgres(&server).await;
    let outcome = under_load(store, server, |server, load_goes_on| {
        for pause in [FAULT, Duration::ZERO, Duration::ZERO] {
            load_goes_on();
            server.restart_immediately(pause);
        }
        load_goes_on();
    });
    let (outcome, server) = outcome.await;
    outcome.nothing_acknowledged_is_lost("postgres restarted");
    outcome.everything_ran_once("postgres restarted");
    let replica = postgres(&server).await;
    outcome.is_remembered_by(replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_stopped_under_load() {
    let server = Postgres::start();
    let store = postgres(&server).await;
    let outcome = under_load(store, server, |server, load_goes_on| {
        for _ in 0..2 {
            load_goes_on();
            server.pause();
            thread::sleep(FAULT);
            server.resume();
        }
        load_goes_on();
    });
    let (outcome, server) = outcome.await;
    outcome.nothing_acknowledged_is_lost("postgres stopped");
    outcome.everything_ran_once("postgres stopped");
    let replica = postgres(&server).await;
    outcome.is_remembered_by(replica).await;
}

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

#[tokio::test(flavor = "multi_thread")]
async fn redis_with_a_file_killed_under_load() {
    let server = Redis::start(&DURABLE);
    let store = redis(&server);
    let outcome = under_load(store, server, |server, load_goes_on| {
        for _ in 0..2 {
            load_goes_on();
            server.kill();
            thread::sleep(FAULT);
            server.restart();
        }
        load_goes_on();
    });
    let (outcome, server) = outcome.await;
    outcome.nothing_acknowledged_is_lost("redis with a file killed");
    outcome.everything_ran_once("redis with a file killed");
    let replica = redis(&server);
    outcome.is_remembered_by(replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_without_a_file_killed_under_load() {
    let server = Redis::start(&[]);
    let store = redis(&server);
    let outcome = under_load(store, server, |server, load_goes_on| {
        for _ in 0..2 {
            load_goes_on();
            server.kill();
            thread::sleep(FAULT);
            server.restart();
        }
        load_goes_on();
    });
    // What it forgets may be handled again, but is not lost.
    let (outcome, _server) = outcome.await;
    outcome.nothing_acknowledged_is_lost("redis without a file killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_stopped_under_load() {
    let server = Redis::start(&[]);
    let store = redis(&server);
    let outcome = under_load(store, server, |server, load_goes_on| {
        for _ in 0..2 {
            load_goes_on();
            server.pause();
            thread::sleep(FAULT);
            server.resume();
        }
        load_goes_on();
    });
    let (outcome, server) = outcome.await;
    outcome.nothing_acknowledged_is_lost("redis stopped");
    outcome.everything_ran_once("redis stopped");
    let replica = redis(&server);
    outcome.is_remembered_by(replica).await;
}
