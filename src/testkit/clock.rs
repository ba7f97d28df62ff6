use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use crate::{Clock, util::lock};

/// A wall clock that moves when it is told to.
///
/// Clones show the same time. Only the freshness of signatures runs on it; for deadlines and the
/// leases of a [`MemoryStore`](crate::MemoryStore) pause tokio's clock.
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use suno_callback::{Clock, testkit::ManualClock};
///
/// let clock = ManualClock::new(SystemTime::UNIX_EPOCH);
/// let same = clock.clone();
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(same.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(90));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<SystemTime>>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Makes it show `now`, which may lie in its past.
    pub fn set(&self, now: SystemTime) {
        *self.time() = now;
    }

    /// Moves it forward; it stays where it is when there is no such time.
    pub fn advance(&self, by: Duration) {
        let mut time = self.time();
        *time = time.checked_add(by).unwrap_or(*time);
    }

    fn time(&self) -> MutexGuard<'_, SystemTime> {
        lock(&self.0)
    }
}

/// Shows the time at which it was made.
impl Default for ManualClock {
    fn default() -> Self {
        Self::new(SystemTime::now())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.time()
    }
}
