//! What a callback costs a server, over loopback: the layer beside a handler written by hand and a
//! router that does nothing.
//!
//! ```sh
//! cargo bench -p benches --bench end_to_end
//! ```
//!
//! Each server is a process of its own with one thread. What is read is the processor's time that it
//! took for each request, without that of the client, and how long an answer took at half of what it
//! can answer. Every request is a task of its own, signed before.

#[path = "../request/by_hand.rs"]
#[allow(dead_code)]
mod by_hand;
mod client;
#[path = "../request/mounted.rs"]
#[allow(dead_code)]
mod mounted;
mod server;
#[path = "../request/template.rs"]
#[allow(dead_code)]
mod template;

use std::time::Duration;

use self::{
    client::{Load, Protocol},
    server::{Kind, Server},
};

/// How many requests a server gets in each run.
const REQUESTS: usize = 20_000;

/// How many runs the median is of.
const RUNS: usize = 5;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|it| it == "--serve") {
        return server::serve(Kind::named(&arguments[at + 1]));
    }
    // `cargo test --benches` only wants to see that it runs.
    let (requests, runs) = match arguments.iter().any(|it| it == "--test") {
        true => (100, 1),
        false => (REQUESTS, RUNS),
    };
    for protocol in [Protocol::Http1, Protocol::Http2] {
        print(protocol, requests, runs);
    }
}

fn print(protocol: Protocol, requests: usize, runs: usize) {
    let load = Load::new(protocol, requests);
    let mut measured = Kind::ALL.map(|kind| (kind, Vec::new()));
    // In turns, so that what else the machine does meets all of them.
    for _ in 0..runs {
        for (kind, seen) in &mut measured {
            seen.push(Run::of(*kind, &load));
        }
    }
    println!("{protocol:?}: {requests} requests, the median of {runs} runs");
    println!(
        "{:24} {:>12} {:>8} {:>16} {:>12} {:>12}",
        "", "CPU us", "/ bare", "range", "p50 us", "p99 us"
    );
    let of_bare: Vec<_> = measured[0].1.iter().map(|run| run.cpu).collect();
    for (kind, seen) in &measured {
        let ratios: Vec<_> = seen
            .iter()
            .zip(&of_bare)
            .map(|(run, bare)| ratio(run.cpu, *bare))
            .collect();
        let (least, most) = (sorted(&ratios)[0], sorted(&ratios)[ratios.len() - 1]);
        println!(
            "{:24} {:>12.1} {:>8.2} {:>16} {:>12.0} {:>12.0}",
            kind.name(),
            median(seen, |run| micros(run.cpu)),
            sorted(&ratios)[ratios.len() / 2],
            format!("{least:.2} to {most:.2}"),
            median(seen, |run| micros(run.p50)),
            median(seen, |run| micros(run.p99)),
        );
    }
}

/// What one server did.
struct Run {
    /// Of the server, for each request.
    cpu: Duration,
    p50: Duration,
    p99: Duration,
}

impl Run {
    fn of(kind: Kind, load: &Load) -> Self {
        let server = Server::start(kind);
        let before = server.cpu();
        let rate = load.all_at_once(server.address());
        let cpu = (server.cpu() - before) / u32::try_from(load.len()).expect("a count");
        // The tasks were seen by that one.
        let server = Server::start(kind);
        let mut took = load.at_rate(server.address(), rate / 2.0);
        took.sort_unstable();
        let at = |percent| took[(took.len() - 1) * percent / 100];
        let (p50, p99) = (at(50), at(99));
        Self { cpu, p50, p99 }
    }
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn median(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    sorted(&runs.iter().map(of).collect::<Vec<_>>())[runs.len() / 2]
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}
