//! Far more events than the store can take, in paused time: whatever waits for what, every request
//! is answered by its deadline.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use harness::{Callback, Receiver, Seen, handling, key, send};
use http::StatusCode;
use suno_callback::{
    MemoryStore, SunoCallbackLayer, Times,
    testkit::{Intercept, Intercepted, Operation},
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, interval, sleep, timeout},
};
use tower::{BoxError, Layer};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What stands in front of a database: who finds no connection waits in line for as long as 30 s,
/// and every operation keeps one busy, also one that nobody waits for any more.
struct Pool {
    connections: Arc<Semaphore>,
    takes: Duration,
}

type Pooled = Intercepted<MemoryStore, Pool>;

fn pooled(connections: usize, takes: Duration) -> Pooled {
    let connections = Arc::new(Semaphore::new(connections));
    Intercepted::new(MemoryStore::default(), Pool { connections, takes })
}

impl Intercept for Pool {
    async fn intercept<T: Send + 'static>(
        &self,
        _: Operation,
        work: impl Future<Output = Result<T, BoxError>> + Send + 'static,
    ) -> Result<T, BoxError> {
        let acquired = Arc::clone(&self.connections).acquire_owned();
        let acquired = timeout(Duration::from_secs(30), acquired).await;
        let connection = acquired.map_err(|_| "no connection in 30 s")?;
        let takes = self.takes;
        let done = tokio::spawn(async move {
            let _connection = connection;
            sleep(takes).await;
            work.await
        });
        done.await.expect("it does not panic")
    }
}

#[derive(Default)]
struct Tally {
    accepted: AtomicUsize,
    postponed: AtomicUsize,
}

/// Sends one event until it is taken or the time is over, and looks at the clock.
async fn insist(receiver: Receiver<Pooled>, task: String, tally: Arc<Tally>, end: Instant) {
    let callback = Callback::progress(&task, "processing");
    while Instant::now() < end {
        let began = Instant::now();
        let reply = send(&receiver, &callback).await;
        let took = began.elapsed();
        let deadline = Times::default().reply_deadline;
        assert!(
            took <= deadline + ms(2),
            "{task} was answered after {took:?}"
        );
        match reply.status() {
            StatusCode::OK => {
                tally.accepted.fetch_add(1, SeqCst);
                return;
            }
            StatusCode::SERVICE_UNAVAILABLE => tally.postponed.fetch_add(1, SeqCst),
            other => panic!("{other} is not in the contract here"),
        };
        sleep(ms(50)).await;
    }
}

/// Thirty events a second, each at all of three replicas, over a store that is too slow
/// for them, or with handlers that are.
async fn flood(connections: usize, takes: Duration, handler_takes: Duration) -> Arc<Tally> {
    let store = pooled(connections, takes);
    let receivers: Vec<Receiver<Pooled>> = (0..3)
        .map(|_| {
            let work = move |_| async move {
                sleep(handler_takes).await;
                StatusCode::OK
            };
            SunoCallbackLayer::new(key(), store.clone()).layer(handling(Seen::default(), work))
        })
        .collect();
    let tally = Arc::new(Tally::default());
    let end = Instant::now() + Duration::from_secs(16);
    let (mut senders, mut pace) = (JoinSet::new(), interval(ms(33)));
    for number in 0..400 {
        pace.tick().await;
        for receiver in &receivers {
            let (task, tally) = (format!("task-{number}"), Arc::clone(&tally));
            senders.spawn(insist(receiver.clone(), task, tally, end));
        }
    }
    senders.join_all().await;
    tally
}

#[tokio::test(start_paused = true)]
async fn under_overload_every_request_is_answered_by_its_deadline() {
    for (connections, takes, handler_takes) in [
        (10, ms(400), ms(0)),
        (80, ms(400), ms(0)),
        (80, ms(400), ms(20_000)),
        (10, ms(5_000), ms(0)),
    ] {
        let tally = flood(connections, takes, handler_takes).await;
        let (accepted, postponed) = (tally.accepted.load(SeqCst), tally.postponed.load(SeqCst));
        println!("{connections} x {takes:?}, {handler_takes:?}: {accepted} and {postponed}");
        assert!(postponed > 100, "it was too much: {postponed}");
    }
}
