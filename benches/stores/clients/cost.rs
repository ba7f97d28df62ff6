//! What an event costs: the time of those who wait, and of the processors.

use std::{
    fs,
    future::Future,
    time::{Duration, Instant},
};

use cpu_time::ProcessTime;

/// The processes of a server whose time on the processors counts.
pub struct Server(pub Vec<u64>);

impl Server {
    /// Since each has begun.
    fn time(&self) -> Duration {
        let threads = self.0.iter().flat_map(|process| {
            let threads = fs::read_dir(format!("/proc/{process}/task"));
            threads.expect("the server runs on this machine")
        });
        let nanoseconds = threads.map(|thread| {
            let path = thread.expect("a thread").path().join("schedstat");
            let times = fs::read_to_string(path).expect("the times of a thread");
            let first = times.split(' ').next();
            first
                .and_then(|time| time.parse::<u64>().ok())
                .expect("a number")
        });
        Duration::from_nanos(nanoseconds.sum())
    }
}

/// What one event costs. Less is better.
#[derive(Clone, Copy)]
pub struct Cost {
    /// In seconds: the whole time over its events, however many are under way at once.
    pub wall: f64,
    /// On the processors, in seconds.
    pub client: f64,
    pub server: f64,
}

impl Cost {
    /// In a turn that says how many events it had.
    pub async fn of(turn: impl Future<Output = u64>, server: &Server) -> Self {
        let (client, on_server, began) = (ProcessTime::now(), server.time(), Instant::now());
        let events = turn.await as f64;
        let wall = began.elapsed();
        Self {
            wall: wall.as_secs_f64() / events,
            client: client.elapsed().as_secs_f64() / events,
            server: (server.time() - on_server).as_secs_f64() / events,
        }
    }
}

/// The median of rounds, and what half of them are between.
pub struct Spread {
    pub median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        Self {
            median: values[values.len() / 2],
            low: values[values.len() / 4],
            high: values[values.len() * 3 / 4],
        }
    }

    pub fn ratio(&self) -> String {
        let Self { median, low, high } = self;
        format!("{median:.2} ({low:.2} to {high:.2})")
    }
}
