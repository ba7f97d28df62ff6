//! `kill -9` of one of two receivers, again and again, while many events are in flight.
//!
//! What must hold: a kill costs the tries that it hits and no other. So each try is answered with
//! 200, or its receiver was killed meanwhile; no event is acknowledged that was not handled to the
//! end; and a try that waits already takes over in time to be answered with 200.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};

use harness::{Callback, counts::KILLS, seed};

use super::{
    fleet::{Journal, Receiver, Run, Said},
    provider::{End, Try, attempt, deliver},
    store::{Backend, Store},
    turn,
};

/// Longer than a machine with other work keeps a process waiting: a holder that lives must not lose
/// its lease.
const LEASE: Duration = Duration::from_secs(3);

/// How long a handler takes, so that kills hit between claim and commit.
const WORK: &str = "30ms";

/// How many events are in flight at any time.
const SENDERS: usize = 32;

/// How long one of the two lives while the other is killed: enough for some takeovers.
const STRETCH: Duration = Duration::from_secs(5);

/// How long a receiver lives at most before it is killed.
const LIFE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_receivers_on_sqlite_lose_nothing() {
    campaign("sqlite", Backend::Sqlite, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_receivers_on_postgres_lose_nothing() {
    campaign("postgres", Backend::Postgres, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_receivers_on_redis_lose_nothing() {
    campaign("redis", Backend::Redis, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_in_the_records_transaction_survive_kills_exactly_once() {
    campaign("postgres --in-transaction", Backend::Postgres, true).await;
}

/// A few kills with the lease that everybody has, each with tries that wait for whom it hits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_takes_over_within_the_default_lease() {
    let _turn = turn().await;
    let backends = [Backend::Sqlite, Backend::Postgres, Backend::Redis];
    let mut stores = JoinSet::new();
    for backend in backends {
        stores.spawn(async move { (backend, default_lease(backend).await) });
    }
    for (backend, slowest) in stores.join_all().await {
        println!("kill -9, default lease, {backend:?}: taken over after at most {slowest:.2?}");
    }
}

async fn default_lease(backend: Backend) -> Duration {
    const EVENTS: usize = 5;
    let store = Store::new(backend).await;
    let journal = Journal::new("warn,receiver=debug");
    let arguments = ["--handler-delay".into(), "1s".into()];
    let victim = Receiver::start(&store, &arguments, &journal).await;
    let heir = Receiver::start(&store, &arguments, &journal).await;
    let (mut hit, mut waiting) = (JoinSet::new(), JoinSet::new());
    let send = |to: &Arc<Receiver>, task: usize| {
        let (to, callback) = (to.clone(), Callback::success(&task.to_string(), "voice"));
        async move { attempt(&to, &callback).await.unwrap() }
    };
    for task in 0..EVENTS {
        hit.spawn(send(&victim, task));
    }
    let all_run = |said: &Said| (said.runs.len() == EVENTS).then_some(());
    journal.wait("all hand-overs", all_run).await;
    for task in 0..EVENTS {
        waiting.spawn(send(&heir, task));
    }
    victim.kill().await;
    let killed = victim.killed().unwrap();

    assert!(hit.join_all().await.iter().all(|one| one.end == End::Cut));
    let waited = waiting.join_all().await;
    assert!(waited.iter().all(|one| one.end == End::RECEIVED));
    heir.kill().await; // and with it all that it said has been read
    let runs = journal.look(|said| said.runs.clone());
    assert_eq!(runs.len(), 2 * EVENTS);
    let took = runs[EVENTS..].iter().map(|run| run.at - killed);
    let slowest = took.max().unwrap();
    store.remove().await;
    slowest
}

async fn campaign(name: &str, backend: Backend, in_transaction: bool) {
    let _turn = turn().await;
    let (began, seed) = (Instant::now(), seed());
    let kills = KILLS.size();
    let pair = Arc::new(Pair::start(backend, in_transaction).await);
    let deliveries = pair.under_load(seed, kills).await;
    pair.end().await;

    let outcome = Outcome::of(&pair, &deliveries);
    pair.done_stays_done(&deliveries).await;
    let mut effects = "";
    if in_transaction {
        pair.effects_are_exactly_once(&deliveries).await;
        effects = ", no effect twice and none missing";
    }
    println!(
        "kill -9, {name}: SEED={seed}, {kills} kills, {outcome}{effects}, {:.0?}",
        began.elapsed()
    );
    assert!(outcome.takeovers > 0, "somebody must have taken over");
    assert_eq!(
        outcome.repeated_without_a_kill, 0,
        "only a kill may make a handler run again"
    );
    Arc::into_inner(pair).unwrap().store.remove().await;
}

/// Two receivers on one store, and a load balancer before them.
struct Pair {
    store: Store,
    arguments: Vec<String>,
    in_transaction: bool,
    journal: Arc<Journal>,
    places: [Mutex<Option<Arc<Receiver>>>; 2],
}

type Deliveries = HashMap<String, Vec<Try>>;

impl Pair {
    async fn start(backend: Backend, in_transaction: bool) -> Self {
        let lease = format!("{}ms", LEASE.as_millis());
        let arguments = ["--handler-delay", WORK, "--lease", &lease];
        let mut arguments: Vec<String> = arguments.map(Into::into).into();
        if in_transaction {
            arguments.push("--in-transaction".into());
        }
        let pair = Self {
            store: Store::new(backend).await,
            arguments,
            in_transaction,
            journal: Journal::new("warn,receiver=debug"),
            places: Default::default(),
        };
        pair.fill(0).await;
        pair.fill(1).await;
        pair
    }

    async fn fill(&self, place: usize) {
        let receiver = Receiver::start(&self.store, &self.arguments, &self.journal).await;
        *self.places[place].lock().unwrap() = Some(receiver);
    }

    async fn kill(&self, place: usize) {
        let victim = self.places[place].lock().unwrap().clone().unwrap();
        victim.kill().await;
        self.places[place].lock().unwrap().take();
    }

    /// With both of them all that they said has been read.
    async fn end(&self) {
        for place in 0..self.places.len() {
            self.kill(place).await;
        }
    }

    fn at(&self, place: usize) -> Option<Arc<Receiver>> {
        self.places[place].lock().unwrap().clone()
    }

    /// Any of the two; the other when there is none. One is always there.
    fn any(&self) -> Arc<Receiver> {
        let place = fastrand::usize(..2);
        self.at(place).or_else(|| self.at(1 - place)).unwrap()
    }

    /// Sends events for as long as it takes to kill so often.
    async fn under_load(self: &Arc<Self>, seed: u64, kills: usize) -> Deliveries {
        let over = Arc::new(AtomicBool::new(false));
        let number = Arc::new(AtomicUsize::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let (pair, over, number) = (self.clone(), over.clone(), number.clone());
            senders.spawn(async move {
                let mut deliveries = Vec::new();
                while !over.load(SeqCst) {
                    let task = format!("{}-{}", pair.store.name, number.fetch_add(1, SeqCst));
                    let back_off = || Duration::from_millis(fastrand::u64(..300));
                    let tries = deliver(&task, back_off, || async { pair.any() }).await;
                    deliveries.push((task, tries));
                }
                deliveries
            });
        }
        self.kill_in_a_loop(seed, kills).await;
        over.store(true, SeqCst);
        senders.join_all().await.into_iter().flatten().collect()
    }

    async fn kill_in_a_loop(&self, seed: u64, kills: usize) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut victim, mut since) = (0, Instant::now());
        for _ in 0..kills {
            if since.elapsed() > STRETCH {
                (victim, since) = (1 - victim, Instant::now());
            }
            // Any moment of its life may be the last, and every other time it has work by then.
            if random.bool() {
                self.has_work(victim).await;
            }
            sleep(LIFE.mul_f64(random.f64())).await;
            self.kill(victim).await;
            self.fill(victim).await;
        }
    }

    async fn has_work(&self, place: usize) {
        let receiver = self.at(place).unwrap();
        let runs = |said: &Said| {
            said.runs
                .iter()
                .any(|run| run.is_on(&receiver))
                .then_some(())
        };
        self.journal.wait("a hand-over", runs).await;
    }

    /// What was acknowledged is not handed over again, whoever asks.
    async fn done_stays_done(&self, deliveries: &Deliveries) {
        self.fill(0).await;
        let before = self.journal.look(|said| said.runs.len());
        let fresh = self.at(0).unwrap();
        for (task, tries) in deliveries {
            if acknowledged(tries) {
                let again = attempt(&fresh, &Callback::success(task, "voice")).await;
                assert_eq!(again.unwrap().end, End::RECEIVED, "{task}");
            }
        }
        self.kill(0).await;
        let after = self.journal.look(|said| said.runs.len());
        assert_eq!(after, before, "an acknowledged event was forgotten");
    }

    async fn effects_are_exactly_once(&self, deliveries: &Deliveries) {
        let effects = self.store.effects().await;
        for (task, tries) in deliveries {
            let count = effects.get(task).copied().unwrap_or(0);
            let most = count <= 1; // the last kill may have hit behind the commit
            assert!(most, "{task} has {count} effects");
            assert_eq!(count.max(acknowledged(tries).into()), count, "{task}");
        }
    }
}

fn acknowledged(tries: &[Try]) -> bool {
    tries.last().is_some_and(|last| last.end == End::RECEIVED)
}

/// What a campaign has shown.
#[derive(Default)]
struct Outcome {
    events: usize,
    acknowledged: usize,
    cut: usize,
    runs: usize,
    /// Runs beyond the first of their event.
    repeated: usize,
    repeated_without_a_kill: usize,
    takeovers: usize,
    slowest: Duration,
}

impl Outcome {
    fn of(pair: &Pair, deliveries: &Deliveries) -> Self {
        let runs = pair.journal.look(|said| said.runs.clone());
        let handled = pair.journal.look(|said| said.handled.clone());
        let handled: std::collections::HashSet<String> = handled.into_iter().collect();
        let mut runs_of: HashMap<&str, Vec<&Run>> = HashMap::new();
        for run in &runs {
            runs_of.entry(&run.task).or_default().push(run);
        }
        let mut outcome = Self {
            events: deliveries.len(),
            runs: runs.len(),
            ..Self::default()
        };
        for (task, tries) in deliveries {
            let runs = runs_of.remove(&**task).unwrap_or_default();
            if acknowledged(tries) {
                outcome.acknowledged += 1;
                // With a transaction the effect itself is looked at: a kill may come between its
                // commit and the line.
                let ended = pair.in_transaction || handled.contains(task);
                assert!(ended, "{task} was not handled to the end");
            }
            outcome.note_tries(task, tries);
            outcome.note_runs(task, tries, &runs);
            outcome.note_takeovers(tries, &runs);
        }
        outcome
    }

    fn note_tries(&mut self, task: &str, tries: &[Try]) {
        for one in tries {
            match one.end {
                End::RECEIVED => {}
                End::Cut if one.to.killed().is_some_and(|at| at <= one.ended) => self.cut += 1,
                other => panic!("{task}: {other:?} after {:?}", one.ended - one.sent),
            }
        }
    }

    fn note_runs(&mut self, task: &str, tries: &[Try], runs: &[&Run]) {
        self.repeated += runs.len().saturating_sub(1);
        for pair in runs.windows(2) {
            assert!(pair[0].attempt < pair[1].attempt, "{task}: {pair:?}");
            let of = |one: &&Try| pair[0].is_on(&one.to);
            let killed = tries.iter().find(of).and_then(|one| one.to.killed());
            if killed.is_none_or(|at| at > pair[1].at) {
                self.repeated_without_a_kill += 1;
            }
        }
    }

    /// A try that was there before the dead holder's lease ended.
    fn note_takeovers(&mut self, tries: &[Try], runs: &[&Run]) {
        for pair in tries.windows(2) {
            let Some(killed) = pair[0].to.killed().filter(|_| pair[0].end == End::Cut) else {
                continue;
            };
            let taken = |run: &&&Run| run.is_on(&pair[1].to) && run.at > killed;
            let Some(run) = runs.iter().find(taken) else {
                continue;
            };
            let took = run.at - killed;
            if pair[1].sent > killed + LEASE || took < LEASE / 2 {
                continue; // too late to have waited, or there was nobody to wait for
            }
            self.takeovers += 1;
            self.slowest = self.slowest.max(took);
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} events, {} acknowledged, {} with every try hit, {} tries hit; {} hand-overs, {} of \
             them repeated ({} without a kill); {} waited for a dead holder, at most {:.2?} \
             (lease {LEASE:?})",
            self.events,
            self.acknowledged,
            self.events - self.acknowledged,
            self.cut,
            self.runs,
            self.repeated,
            self.repeated_without_a_kill,
            self.takeovers,
            self.slowest,
        )
    }
}
