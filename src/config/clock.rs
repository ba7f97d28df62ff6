use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the wall-clock time that signatures are compared with.
///
/// Only the freshness of a signature uses it. Deadlines and leases run on clocks that nobody sets.
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use suno_callback::Clock;
///
/// struct Fixed;
///
/// impl Clock for Fixed {
///     fn now(&self) -> SystemTime {
///         SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
///     }
/// }
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The time now. A time before 1970 makes the layer answer 503.
    fn now(&self) -> SystemTime;
}

/// The system's clock: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The time now since 1970; `None` for a clock that stands before it.
pub(crate) fn unix_time(clock: &dyn Clock) -> Option<Duration> {
    clock.now().duration_since(UNIX_EPOCH).ok()
}
