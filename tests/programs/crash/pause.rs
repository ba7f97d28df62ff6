//! SIGSTOP of a holder beyond its lease while another receiver takes over, and SIGCONT.
//!
//! What must hold: the new holder's record stands. The zombie's renewal, commit and release are
//! told that the claim is lost, and change nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::task::{JoinSet, spawn};

use harness::{Callback, counts::STOPS};

use super::{
    fleet::{Journal, Receiver},
    provider::{End, Try, attempt},
    store::{Backend, Row, Store},
    turn,
};

/// Longer than a machine with other work keeps a process waiting: an heir that lives must not lose
/// its lease.
const LEASE: Duration = Duration::from_secs(2);

/// What the zombie does first when it wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zombie {
    /// Its handler succeeded long ago.
    Commits,
    /// Its handler still runs.
    Renews,
    /// Its handler failed long ago.
    Releases,
}

/// How far its heir is at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heir {
    Runs,
    IsDone,
}

const FLAVOURS: [(Zombie, Heir); 6] = [
    (Zombie::Commits, Heir::Runs),
    (Zombie::Commits, Heir::IsDone),
    (Zombie::Renews, Heir::Runs),
    (Zombie::Renews, Heir::IsDone),
    (Zombie::Releases, Heir::Runs),
    (Zombie::Releases, Heir::IsDone),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_holder_changes_nothing_on_sqlite() {
    campaign("sqlite", Backend::Sqlite, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_holder_changes_nothing_on_postgres() {
    campaign("postgres", Backend::Postgres, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_holder_changes_nothing_on_redis() {
    campaign("redis", Backend::Redis, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_effect_of_a_stopped_holder_is_rolled_back() {
    campaign("postgres --in-transaction", Backend::Postgres, true).await;
}

/// A few stops of every kind with the lease that everybody has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_holder_changes_nothing_with_the_default_lease() {
    let _turn = turn().await;
    let (lease, mut pairs, mut stores) = (Duration::from_secs(5), JoinSet::new(), Vec::new());
    let kinds = [FLAVOURS[1], FLAVOURS[2]];
    for backend in [Backend::Sqlite, Backend::Postgres, Backend::Redis] {
        let store = Arc::new(Store::new(backend).await);
        for kind in kinds {
            let pair = Pair::start(&store, kind, lease, false).await;
            pairs.spawn(pair.run(1));
        }
        stores.push(store);
    }
    let pairs = pairs.join_all().await;
    let slowest = pairs.iter().map(|pair| pair.1).max().unwrap();
    println!(
        "SIGSTOP, default lease: {} stops on three stores, taken over after at most {slowest:.2?}",
        pairs.len()
    );
    for store in stores {
        Arc::into_inner(store).unwrap().remove().await;
    }
}

/// Six pairs at a time.
async fn campaign(name: &str, backend: Backend, in_transaction: bool) {
    let _turn = turn().await;
    let began = Instant::now();
    let store = Arc::new(Store::new(backend).await);
    let mut pairs = JoinSet::new();
    for flavour in FLAVOURS {
        let pair = Pair::start(&store, flavour, LEASE, in_transaction).await;
        pairs.spawn(pair.run(STOPS.size()));
    }
    let pairs = pairs.join_all().await;
    let cycles: usize = pairs.iter().map(|pair| pair.0).sum();
    let slowest = pairs.iter().map(|pair| pair.1).max().unwrap();
    println!(
        "SIGSTOP, {name}: {cycles} stops, each with a takeover and a zombie that changed nothing; \
         taken over after at most {slowest:.2?} (lease {LEASE:?}), {:.0?}",
        began.elapsed()
    );
    Arc::into_inner(store).unwrap().remove().await;
}

/// A receiver that is stopped, and one that takes over.
struct Pair {
    store: Arc<Store>,
    flavour: (Zombie, Heir),
    in_transaction: bool,
    journal: Arc<Journal>,
    holder: Arc<Receiver>,
    heir: Arc<Receiver>,
}

impl Pair {
    async fn start(
        store: &Arc<Store>,
        flavour: (Zombie, Heir),
        lease: Duration,
        in_transaction: bool,
    ) -> Self {
        let journal = Journal::new("info,receiver=debug");
        // Long enough to be stopped in, and where it renews, to outlast the stop.
        let work = match flavour.0 {
            Zombie::Commits | Zombie::Releases => Duration::from_millis(600),
            Zombie::Renews => lease + Duration::from_millis(1500),
        };
        let fails = match flavour.0 {
            Zombie::Releases => "1",
            Zombie::Commits | Zombie::Renews => "0",
        };
        let heirs_work = match flavour.1 {
            Heir::Runs => Duration::from_millis(700),
            Heir::IsDone => Duration::ZERO,
        };
        let start = async |work: Duration| {
            let (work, lease) = (millis(work), millis(lease));
            let arguments = [
                "--handler-delay",
                &work,
                "--lease",
                &lease,
                "--fail-first",
                fails,
            ];
            let mut arguments: Vec<String> = arguments.map(Into::into).into();
            if in_transaction {
                arguments.push("--in-transaction".into());
            }
            Receiver::start(store, &arguments, &journal).await
        };
        Self {
            holder: start(work).await,
            heir: start(heirs_work).await,
            store: Arc::clone(store),
            flavour,
            in_transaction,
            journal,
        }
    }

    /// How many cycles there were, and how long the slowest takeover took.
    async fn run(self, cycles: usize) -> (usize, Duration) {
        let (mut slowest, mut tasks) = (Duration::ZERO, Vec::new());
        for cycle in 0..cycles {
            let (zombie, heir) = self.flavour;
            let unique = fastrand::u64(..);
            let task = format!("{zombie:?}-{heir:?}-{cycle}-{unique:x}");
            slowest = slowest.max(self.cycle(&task).await);
            tasks.push(task);
        }
        // With both of them all that they said has been read.
        self.holder.kill().await;
        self.heir.kill().await;
        tasks
            .iter()
            .for_each(|task| self.assert_handed_over_twice(task));
        (cycles, slowest)
    }

    fn assert_handed_over_twice(&self, task: &str) {
        let attempts = self.journal.look(|said| {
            let runs = said.runs_of(task);
            runs.map(|run| run.attempt).collect::<Vec<_>>()
        });
        assert_eq!(attempts, [1, 2], "{task}");
    }

    async fn cycle(&self, task: &str) -> Duration {
        let callback = Callback::success(task, "voice");
        let slot = self.store.slot(&callback).await;
        let first = self.send(&self.holder, &callback);
        self.run_on(&self.holder, task).await;
        self.holder.stop().await;
        let stopped = Instant::now();

        let second = self.send(&self.heir, &callback);
        let taken = self.run_on(&self.heir, task).await - stopped;
        if self.flavour.1 == Heir::IsDone {
            self.said(&self.heir, task, "disposition=\"accepted\"")
                .await;
        }
        let before = self.store.row(&slot).await;
        self.holder.resume().await;
        self.zombie_was_told(task, first.await.unwrap()).await;
        assert_eq!(second.await.unwrap().end, End::RECEIVED, "{task}");
        self.heirs_record_stands(&before, &self.store.row(&slot).await, task);
        self.nothing_comes_after(&callback).await;
        taken
    }

    fn send(&self, to: &Arc<Receiver>, callback: &Callback) -> tokio::task::JoinHandle<Try> {
        let (to, callback) = (Arc::clone(to), callback.clone());
        spawn(async move { attempt(&to, &callback).await.expect("it listens") })
    }

    async fn run_on(&self, receiver: &Receiver, task: &str) -> Instant {
        let run = self.journal.wait("a hand-over", |said| {
            let run = said.runs_of(task).find(|run| run.is_on(receiver));
            run.map(|run| run.at)
        });
        run.await
    }

    /// Its request is still open, so it answers: 200 where the handler succeeded.
    async fn zombie_was_told(&self, task: &str, first: Try) {
        let fails = self.in_transaction || self.flavour.0 == Zombie::Releases;
        let (status, disposition) = match fails {
            true => (StatusCode::INTERNAL_SERVER_ERROR, "handler_failed"),
            false => (StatusCode::OK, "claim_lost"),
        };
        assert_eq!(first.end, End::Answered(status), "{task}");
        let disposition = format!("disposition=\"{disposition}\"");
        self.said(&self.holder, task, &disposition).await;
        match self.flavour.0 {
            Zombie::Commits if self.in_transaction => {}
            Zombie::Commits => self.said(&self.holder, task, "the claim was lost").await,
            Zombie::Renews => self.said(&self.holder, task, "the claim was lost").await,
            // A lost release is nothing to report: what follows is seen in the store.
            Zombie::Releases => {}
        }
    }

    async fn said(&self, receiver: &Receiver, task: &str, text: &str) {
        let said = self.journal.wait(text, |said| {
            (said.lines(receiver, task, text) > 0).then_some(())
        });
        said.await;
    }

    fn heirs_record_stands(&self, before: &Row, after: &Row, task: &str) {
        assert_eq!((after.state, after.fence), (Row::DONE, 2), "{task}");
        assert_eq!(after.owner, before.owner, "{task}");
        match self.flavour.1 {
            Heir::Runs => assert_eq!((before.state, before.fence), (Row::HELD, 2), "{task}"),
            Heir::IsDone => assert_eq!(after, before, "{task}"),
        }
    }

    async fn nothing_comes_after(&self, callback: &Callback) {
        let task = &callback.task_id;
        for receiver in [&self.holder, &self.heir] {
            let again = attempt(receiver, callback).await.unwrap();
            assert_eq!(again.end, End::RECEIVED, "{task}");
        }
        if self.in_transaction {
            assert_eq!(self.store.effects().await.get(task), Some(&1), "{task}");
        }
    }
}

fn millis(span: Duration) -> String {
    format!("{}ms", span.as_millis())
}
