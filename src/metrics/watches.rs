use super::{
    Level,
    catalogue::{WATCHES, WATCHES_ENDED},
    handles::{Counter, counter},
};

/// The tasks of one list.
pub(crate) struct WatchMeters {
    pub(crate) watched: Level,
    ended: [Counter; ENDS.len()],
}

/// The words of [`Watched`](crate::watch::Watched).
const ENDS: [&str; 11] = [
    "delivered",
    "already_delivered",
    "late",
    "conflict",
    "expired_not_asked",
    "expired_pending",
    "expired_inconsistent",
    "expired_unreachable",
    "expired_not_accepted",
    "stopped",
    "refused",
];

impl WatchMeters {
    pub(crate) fn new() -> Self {
        Self {
            watched: Level::new(&WATCHES),
            ended: ENDS.map(|end| counter(&WATCHES_ENDED, &[("end", end)])),
        }
    }

    /// A task that is asked about no more, and how that came.
    pub(crate) fn ended(&self, how: &'static str) {
        let at = ENDS.iter().position(|end| *end == how);
        if let Some(counter) = at.and_then(|at| self.ended.get(at)) {
            counter.increment(1);
        }
    }
}

#[test]
fn every_end_of_a_watch_has_its_series() {
    let words = super::words_of(include_str!("../watch/watched.rs"));
    assert_eq!(ENDS[..], words[..]);
}
