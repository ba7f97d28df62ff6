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

static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
static COUNTER: AtomicU64 = AtomicU64::new(0);
static PROCESS: LazyLock<u128> = LazyLock::new(|| {
    let [high, low] = ["high", "low"].map(|half| KEYS.hash_one(half));
    u128::from(high) << 64 | u128::from(low)
});

/// Bytes that nobody else has: a number of this process, under its random key. An odd factor keeps
/// different numbers different and spreads them over all bytes.
pub(crate) fn unique() -> [u8; 16] {
    let count = u128::from(COUNTER.fetch_add(1, Relaxed));
    let spread = (count ^ *PROCESS).wrapping_mul(0xDA94_2042_E4DD_58B5_9E37_79B9_7F4A_7C15);
    spread.to_be_bytes()
}

/// A span below `limit`; zero for a limit of zero.
pub(crate) fn below(limit: Duration) -> Duration {
    let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    let number = KEYS.hash_one(COUNTER.fetch_add(1, Relaxed));
    Duration::from_nanos(number.checked_rem(nanos).unwrap_or(0))
}
