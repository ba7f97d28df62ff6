use std::time::Duration;

/// Whole milliseconds, at most a century: more than that means for ever.
pub(super) fn millis(span: Duration) -> i64 {
    const CENTURY: i64 = 100 * 365 * 24 * 3600 * 1000;
    i64::try_from(span.as_millis()).map_or(CENTURY, |millis| millis.min(CENTURY))
}
