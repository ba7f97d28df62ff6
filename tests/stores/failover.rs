//! Failovers while 50 events a second come, each with the provider's three retries.
//!
//! What must hold: no event is lost, and each that was acknowledged was handled. How many first
//! tries were refused, and what the stores have forgotten, is counted and printed.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use harness::proxy::Proxy;
use harness::server::Redis;
use harness::{
    Callback, Receiver, Seen, handling, key, ms, ok_after, secs, send, spawn_send, until,
};
use http::StatusCode;
use suno_callback::{DedupStore, SunoCallbackLayer, store::RedisStore};
use tokio::{
    sync::{Semaphore, watch},
    task::{JoinSet, spawn_blocking},
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use tower::Layer;

/// How often an event comes, whatever became of those before.
const PACE: Duration = ms(20);

/// How many events are on their way at most: five seconds of that pace, which is longer than a failover
/// here takes. A machine with other work gets fewer, not a queue that grows for ever.
const AT_ONCE: usize = 250;

/// How many events must be taken before something happens again.
const STRETCH: usize = 100;

/// What the provider is known for: how long it waits, and how often it comes again.
const PATIENCE: Duration = secs(15);
const RETRIES: usize = 3;

/// After how long it does is not known. Its last two retries come when what they need is there again:
/// nothing is promised to an event all of whose tries fall into an outage, and how long one takes is
/// up to this machine.
const PAUSE: Duration = secs(1);
const LAST: usize = 2;

/// How the tries of one event ended.
#[derive(Debug)]
pub struct Tries {
    task: String,
    pub refused: usize,
    pub taken: bool,
    /// How long the longest of them took.
    pub longest: Duration,
}

pub struct Outcome {
    tries: Vec<Tries>,
    seen: Seen,
}

/// The load as the one who makes the faults sees it.
pub struct Load {
    tries: Arc<Mutex<Vec<Tries>>>,
    is_out: watch::Sender<bool>,
}

impl Load {
    /// Until `outage` has ended, no try need succeed.
    pub fn during<T>(&self, outage: impl FnOnce() -> T) -> T {
        self.is_out.send_replace(true);
        let ended = outage();
        self.is_out.send_replace(false);
        ended
    }

    /// Waits until it goes on as if nothing had happened.
    pub fn goes_on(&self) {
        let taken = || {
            let tries = self.tries.lock().unwrap();
            tries.iter().filter(|it| it.taken).count()
        };
        let (goal, end) = (taken() + STRETCH, Instant::now() + secs(60));
        while taken() < goal {
            assert!(Instant::now() < end, "the load must go on");
            thread::sleep(ms(10));
        }
    }
}

/// Sends events to a [`receiver`] until `faults` has ended, which gives back what must live on.
pub async fn under_load<S: Send + 'static>(
    store: impl DedupStore,
    faults: impl FnOnce(&Load) -> S + Send + 'static,
) -> (Outcome, S) {
    let seen = Seen::default();
    load(receiver(store, &seen), seen, faults).await
}

/// The same with any receiver whose handler notes what it sees.
pub async fn load<S: Send + 'static>(
    receiver: Receiver<impl DedupStore>,
    seen: Seen,
    faults: impl FnOnce(&Load) -> S + Send + 'static,
) -> (Outcome, S) {
    let (tries, (is_out, outages)) = (Arc::default(), watch::channel(false));
    let load = Load {
        tries: Arc::clone(&tries),
        is_out,
    };
    let faults = spawn_blocking(move || faults(&load));
    let (mut calls, mut pace) = (JoinSet::new(), every(PACE));
    let places = Arc::new(Semaphore::new(AT_ONCE));
    for number in 0.. {
        if faults.is_finished() {
            break;
        }
        pace.tick().await;
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let (receiver, tries) = (receiver.clone(), Arc::clone(&tries));
        let outages = outages.clone();
        calls.spawn(async move {
            let one = deliver(&receiver, format!("task-{number}"), outages).await;
            tries.lock().unwrap().push(one);
            drop(place);
        });
    }
    let servers = faults.await.unwrap();
    calls.join_all().await;
    let tries = std::mem::take(&mut *tries.lock().unwrap());
    (Outcome { tries, seen }, servers)
}

/// A pace that makes up for nothing: what was late once comes no faster afterwards.
pub fn every(period: Duration) -> Interval {
    let mut pace = interval(period);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

/// Its handler takes a moment, so that faults also hit between claim and commit.
pub fn receiver<D: DedupStore>(store: D, seen: &Seen) -> Receiver<D> {
    let handler = handling(seen.clone(), |_| ok_after(ms(10)));
    SunoCallbackLayer::new(key(), store).layer(handler)
}

/// As the provider does it, while the watch tells whether there is an outage.
pub async fn deliver<D: DedupStore>(
    receiver: &Receiver<D>,
    task: String,
    mut outages: watch::Receiver<bool>,
) -> Tries {
    let mut tries = Tries {
        task,
        refused: 0,
        taken: false,
        longest: Duration::ZERO,
    };
    for retry in 0..=RETRIES {
        if retry + LAST > RETRIES {
            // Nobody is left to tell of one where all of them are over.
            let _ = outages.wait_for(|is_out| !is_out).await;
        }
        let (sent, callback) = (Instant::now(), Callback::success(&tries.task, "voice"));
        let reply = timeout(PATIENCE, send(receiver, &callback)).await;
        let reply = reply.expect("an answer before the provider gives up");
        tries.longest = tries.longest.max(sent.elapsed());
        tries.taken = reply.status() == StatusCode::OK;
        if tries.taken {
            break;
        }
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        tries.refused += 1;
        tokio::time::sleep(PAUSE).await;
    }
    tries
}

impl Outcome {
    /// What the provider was told is taken.
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        self.tries.iter().map(|it| it.task.as_str())
    }

    pub fn runs_of(&self, task: &str) -> usize {
        self.seen.runs_of(task)
    }

    /// And asks `store`, which is what others see after it all, for what it has forgotten. Gives how
    /// many that were.
    pub async fn loses_nothing<D: DedupStore>(&self, what: &str, store: D) -> usize {
        let forgotten = self.forgotten_by(store).await;
        let count = |holds: &dyn Fn(&&Tries) -> bool| self.tries.iter().filter(holds).count();
        println!(
            "{what}: {} events, {} first tries refused, {} events handled twice, {forgotten} \
             forgotten",
            self.tries.len(),
            count(&|it| it.refused > 0),
            count(&|it| self.seen.runs_of(&it.task) > 1),
        );
        for it in &self.tries {
            assert!(it.taken, "{what}: refused four times: {it:?}");
            assert!(
                self.seen.runs_of(&it.task) > 0,
                "{what}: {} is lost",
                it.task
            );
        }
        // What is replicated is replicated within moments.
        assert!(forgotten < 50, "{what}: {forgotten} events were forgotten");
        forgotten
    }

    /// How many events would be handled again if they came again.
    async fn forgotten_by<D: DedupStore>(&self, store: D) -> usize {
        let again = Seen::default();
        let receiver = receiver(store, &again);
        let (mut calls, places) = (JoinSet::new(), Arc::new(Semaphore::new(16)));
        for it in &self.tries {
            let (receiver, places) = (receiver.clone(), Arc::clone(&places));
            let callback = Callback::success(&it.task, "voice");
            calls.spawn(async move {
                let _place = places.acquire().await;
                send(&receiver, &callback).await.status()
            });
        }
        for status in calls.join_all().await {
            assert_eq!(status, StatusCode::OK);
        }
        again.len()
    }
}

/// Twice: the old primary lives on as a replica that takes no writes, and then one dies.
async fn fails_over_twice(what: &str, start: fn(&[&str]) -> Redis) {
    let (first, mut second) = (start(&[]), start(&[]));
    second.follow(&first);
    let proxy = Proxy::to(first.addr()).await;
    let client = redis::Client::open(format!("redis://{}/", proxy.addr())).unwrap();
    let store = RedisStore::new(client);
    let (outcome, _servers) = under_load(store.clone(), move |load| {
        let name_moves_to = |new: &Redis| {
            thread::sleep(ms(500));
            proxy.lead_to(new.addr());
        };
        load.goes_on();
        load.during(|| {
            let () = second.ask("REPLICAOF NO ONE");
            let () = first.ask(&format!("REPLICAOF 127.0.0.1 {}", second.port()));
            name_moves_to(&second);
        });
        load.goes_on();
        first.follow(&second);
        load.during(|| {
            second.kill();
            let () = first.ask("REPLICAOF NO ONE");
            name_moves_to(&first);
        });
        load.goes_on();
        (first, second)
    })
    .await;
    outcome.loses_nothing(what, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_fails_over_under_load() {
    fails_over_twice("redis", Redis::start).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valkey_fails_over_under_load() {
    fails_over_twice("valkey", Redis::start_valkey).await;
}

/// A restart at the worst moment: the handlers have had their effect, and nothing of it is written.
/// A twin of each event waits at another replica for its chance.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_restarts_within_a_lease_at_the_commit_lets_no_event_run_twice() {
    const EVENTS: usize = 12;
    let mut server = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let replica = || {
        let gate = Arc::clone(&gate);
        let handler = handling(seen.clone(), move |_| {
            let gate = Arc::clone(&gate);
            async move {
                let _ = gate.acquire().await; // closed when all may end
                StatusCode::OK
            }
        });
        let store = RedisStore::new(server.client());
        SunoCallbackLayer::new(key(), store).layer(handler)
    };
    let (owner, heir) = (replica(), replica());
    let events = (0..EVENTS).map(|number| Callback::success(&format!("task-{number}"), "voice"));
    let events: Vec<_> = events.collect();
    let mut replies: Vec<_> = events.iter().map(|it| spawn_send(&owner, it)).collect();
    until("all are being handled", || seen.len() == EVENTS).await;
    replies.extend(events.iter().map(|it| spawn_send(&heir, it)));
    server.kill();
    gate.close();
    let server = spawn_blocking(move || {
        thread::sleep(secs(3));
        server.restart();
        server
    });
    let _server = server.await.unwrap();
    for reply in replies {
        assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(seen.len(), EVENTS);
}
