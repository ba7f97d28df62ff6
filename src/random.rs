//! Numbers that differ between processes and from each other. Good for names and jitter, not for
//! keys: the standard library's randomly keyed SipHash over a counter.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::store::Owner;

/// An owner that nobody else has.
pub(crate) fn owner() -> Owner {
    Owner::from((u128::from(next()) << 64 | u128::from(next())).to_be_bytes())
}

/// A span below `limit`; zero for a limit of zero.
pub(crate) fn below(limit: Duration) -> Duration {
    let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(next().checked_rem(nanos).unwrap_or(0))
}

fn next() -> u64 {
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Relaxed);
    KEYS.get_or_init(RandomState::new).hash_one(count)
}
