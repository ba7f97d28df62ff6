//! How much a test plays: little in the gate, much in a campaign. The one place for both.

use std::env::var;

/// A number that a campaign enlarges.
pub struct Count {
    campaign: &'static str,
    gate: u64,
    large: u64,
}

/// Cancellations of requests at random instants, in process.
pub const CANCELLATIONS: Count = count("cancellations", 2_000, 100_000);
/// Tasks with 64 twins each, in process.
pub const TWINS: Count = count("twins", 200, 5_000);
/// Random requests and random bodies, each.
pub const MALFORMED: Count = count("malformed", 5_000, 1_000_000);
/// Random schedules of two processes on a store that fails.
pub const SCHEDULES: Count = count("schedules", 500, 50_000);
/// Orders in which the threads of a process meet, for each case and each way to choose them.
pub const INTERLEAVINGS: Count = count("interleavings", 500, 1_000_000);
/// Events whose store is behind a proxy that breaks connections in every way, on each of two.
pub const ROUGH: Count = count("rough", 1_000, 20_000);
/// Outages of each real store, of the 2,640 in the table.
pub const OUTAGES: Count = count("outages", 24, 2_640);
/// Tasks of a simulated day of callbacks and polls.
pub const DAY: Count = count("day", 5_000, 100_000);
/// Kills of one of two receivers, on each store.
pub const KILLS: Count = count("kills", 20, 1_000);
/// Stops of a holder beyond its lease, of each kind on each store.
pub const STOPS: Count = count("stops", 1, 20);
/// Tasks with 64 twins each, on many receivers.
pub const STAMPEDE: Count = count("stampede", 30, 1_000);

/// Kills of the process that receives and of the one that works, of `examples/queue` on each database.
pub const QUEUE_KILLS: Count = count("queue", 6, 200);
/// Kills of one of three replicas behind a proxy, of `examples/axum_postgres`.
pub const REPLICA_KILLS: Count = count("replicas", 3, 100);

const fn count(campaign: &'static str, gate: u64, large: u64) -> Count {
    Count {
        campaign,
        gate,
        large,
    }
}

impl Count {
    /// In its own campaign what `SUNO_COUNT` says or else the large number, otherwise the small one.
    pub fn get(&self) -> u64 {
        if var("SUNO_CAMPAIGN").as_deref() != Ok(self.campaign) {
            return self.gate;
        }
        let asked = var("SUNO_COUNT").ok();
        asked.map_or(self.large, |count| {
            count.parse().expect("SUNO_COUNT is a number")
        })
    }

    pub fn size(&self) -> usize {
        usize::try_from(self.get()).expect("a count fits")
    }
}
