//! Numbers that differ between processes and from each other. Good for names and jitter, not for
//! keys: the standard library's random keys, and a counter.

use std::{
    cell::Cell,
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
    let count = u128::from(number());
    let spread = (count ^ *PROCESS).wrapping_mul(0xDA94_2042_E4DD_58B5_9E37_79B9_7F4A_7C15);
    spread.to_be_bytes()
}

thread_local! {
    /// Numbers of this process that are this thread's own: the next, and how many are left.
    static OWN: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// A number that nobody else in this process has. Threads take many at a time, so that they do not
/// meet at the counter with each event.
fn number() -> u64 {
    const MANY: u64 = 1024;
    let (next, left) = match OWN.get() {
        (_, 0) => (COUNTER.fetch_add(MANY, Relaxed), MANY),
        own => own,
    };
    OWN.set((next.wrapping_add(1), left - 1));
    next
}

/// A span below `limit`; zero for a limit of zero.
pub(crate) fn below(limit: Duration) -> Duration {
    let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    let number = KEYS.hash_one(number());
    Duration::from_nanos(number.checked_rem(nanos).unwrap_or(0))
}
