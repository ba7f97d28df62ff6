use std::fmt;

use super::{
    catalogue::Metric,
    handles::{self, Gauge},
};
use crate::util::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many there are of something just now. What is counted in several processes or layers adds up.
pub(crate) struct Level {
    count: AtomicUsize,
    gauge: Gauge,
}

impl Level {
    pub(crate) fn new(metric: &Metric) -> Self {
        Self {
            count: AtomicUsize::new(0),
            gauge: handles::gauge(metric),
        }
    }

    /// One more, unless there are `limit`.
    pub(crate) fn raise_below(&self, limit: usize) -> bool {
        let below = |count| (count < limit).then_some(count + 1);
        let is_raised = self.count.fetch_update(Relaxed, Relaxed, below).is_ok();
        if is_raised {
            self.gauge.increment(1.0);
        }
        is_raised
    }

    /// One more.
    pub(crate) fn raise(&self) {
        self.raise_below(usize::MAX);
    }

    /// One less.
    pub(crate) fn lower(&self) {
        self.count.fetch_sub(1, Relaxed);
        self.gauge.decrement(1.0);
    }
}

/// What is gone is no more.
impl Drop for Level {
    fn drop(&mut self) {
        let count = *self.count.get_mut();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.gauge.decrement(f64::from(count));
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.count.fmt(f)
    }
}
