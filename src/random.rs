//! Numbers that differ between processes and from each other. Good for names and jitter, not for
//! keys: the standard library's random keys, and a counter.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::store::Owner;

static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
static PROCESS: LazyLock<u64> = LazyLock::new(|| KEYS.hash_one("process"));
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// An owner that nobody else has: eight random bytes for the process, and a number in it.
pub(crate) fn owner() -> Owner {
    let count = COUNTER.fetch_add(1, Relaxed);
    Owner::from((u128::from(*PROCESS) << 64 | u128::from(count)).to_be_bytes())
}

/// A span below `limit`; zero for a limit of zero.
pub(crate) fn below(limit: Duration) -> Duration {
    let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    let number = KEYS.hash_one(COUNTER.fetch_add(1, Relaxed));
    Duration::from_nanos(number.checked_rem(nanos).unwrap_or(0))
}
