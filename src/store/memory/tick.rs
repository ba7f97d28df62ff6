use std::time::Duration;

/// Nanoseconds since the store was made: half the size of an `Instant`, good for 584 years, and
/// never beyond its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u64);

impl Tick {
    pub(super) const NEVER: Self = Self(u64::MAX);

    pub(super) fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(super) fn as_nanos(self) -> u64 {
        self.0
    }

    pub(super) fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Rounded up.
    pub(super) fn to_millis(self) -> u64 {
        self.0.div_ceil(1_000_000)
    }

    pub(super) fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(Self::from(span).0))
    }

    pub(super) fn until(self, later: Self) -> Duration {
        Duration::from_nanos(later.0.saturating_sub(self.0))
    }
}

impl From<Duration> for Tick {
    fn from(span: Duration) -> Self {
        Self(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }
}
