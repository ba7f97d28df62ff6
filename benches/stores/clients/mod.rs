//! The stores on servers, beside clients that do as much and as little as one can.
//!
//! `cargo bench -p benches --bench stores -- --table` prints, for PostgreSQL and for Redis, with 1, 8
//! and 64 callers at once, what a claim with its commit costs
//!
//! - through the store;
//! - as the same messages, or the same scripts, sent by a bare client;
//! - as the least that one would write by hand, which knows neither fences nor attempts, forgets
//!   nothing, and waits for as long as it takes.
//!
//! In turns, a third of a second each, and every round begins with another. Ratios are of one round:
//! their median, and the range of the half of them around it, because what else the machine does
//! makes the outermost anything. Processor times are of this process, and of the server's sessions.

mod cost;
mod postgres;
mod redis;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, task::JoinSet};

use self::cost::{Cost, Server, Spread};

const TURN: Duration = Duration::from_millis(333);
const ROUNDS: usize = 25;
const CALLERS: [usize; 3] = [1, 8, 64];

/// A claim and its commit.
struct Way {
    name: &'static str,
    handle: Arc<Handle>,
}

type Handle = dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

impl Way {
    fn new<W: Future<Output = ()> + Send + 'static>(
        name: &'static str,
        handle: impl Fn() -> W + Send + Sync + 'static,
    ) -> Self {
        let handle =
            Arc::new(move || -> Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(handle()) });
        Self { name, handle }
    }

    /// So many callers handle one event after the other. Says how many there were.
    async fn turn(&self, callers: usize) -> u64 {
        let end = Instant::now() + TURN;
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let handle = Arc::clone(&self.handle);
            tasks.spawn(async move {
                let mut events = 0;
                while Instant::now() < end {
                    handle().await;
                    events += 1;
                }
                events
            });
        }
        tasks.join_all().await.into_iter().sum()
    }
}

/// What is compared on a server.
struct Comparison {
    server: Server,
    ways: Vec<Way>,
    /// Two of the ways, by name.
    pairs: &'static [(&'static str, &'static str)],
}

/// The rounds of a comparison, with so many callers. Each has one of each way.
struct Rounds {
    callers: usize,
    costs: Vec<Vec<Cost>>,
}

pub(crate) fn run(runtime: &Runtime) {
    runtime.block_on(async {
        let postgres = postgres::Postgres::open().await;
        compare("PostgreSQL", &postgres.comparison().await).await;
        postgres.remove().await;
        let redis = redis::Redis::open().await;
        compare("Redis", &redis.comparison().await).await;
        redis.remove().await;
    });
}

async fn compare(name: &str, it: &Comparison) {
    let mut all = Vec::new();
    for callers in CALLERS {
        let mut costs = Vec::new();
        for first in 0..ROUNDS {
            let mut round = Vec::new();
            for turn in 0..it.ways.len() {
                let way = (first + turn) % it.ways.len();
                let cost = Cost::of(it.ways[way].turn(callers), &it.server).await;
                round.push((way, cost));
            }
            round.sort_by_key(|(way, _)| *way);
            costs.push(round.into_iter().map(|(_, cost)| cost).collect());
        }
        all.push(Rounds { callers, costs });
    }
    println!(
        "\n{name}: a claim with its commit; median of {ROUNDS} rounds\n\n\
         | callers | | a second | client, us | server, us |\n|---|---|---|---|---|"
    );
    for rounds in &all {
        for (at, way) in it.ways.iter().enumerate() {
            rounds.print(way.name, at);
        }
    }
    println!(
        "\n| callers | ratio (middle half) | a second | client | server |\n|---|---|---|---|---|"
    );
    let place = |name| it.ways.iter().position(|way| way.name == name);
    for rounds in &all {
        for (one, other) in it.pairs {
            let places = [one, other].map(|name| place(*name).expect("a way of this name"));
            rounds.print_ratio(&format!("{one} / {other}"), places);
        }
    }
}

impl Rounds {
    fn print(&self, name: &str, way: usize) {
        let typical = |of: fn(&Cost) -> f64| {
            Spread::of(self.costs.iter().map(|round| of(&round[way]))).median
        };
        println!(
            "| {} | {name} | {:.0} | {:.0} | {:.0} |",
            self.callers,
            1.0 / typical(|cost| cost.wall),
            typical(|cost| cost.client) * 1e6,
            typical(|cost| cost.server) * 1e6,
        );
    }

    fn print_ratio(&self, name: &str, [one, other]: [usize; 2]) {
        let ratio = |of: fn(&Cost) -> f64| {
            let rounds = self.costs.iter();
            Spread::of(rounds.map(|round| of(&round[one]) / of(&round[other]))).ratio()
        };
        println!(
            "| {} | {name} | {} | {} | {} |",
            self.callers,
            ratio(|cost| 1.0 / cost.wall),
            ratio(|cost| cost.client),
            ratio(|cost| cost.server),
        );
    }
}
