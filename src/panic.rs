//! Keeps other people's panics where they happen.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::trace;

/// A panic was caught, and logged.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Runs `code` of the application.
///
/// What it leaves behind is not looked at again by the layer, so it may be broken.
pub(crate) fn catch<T>(place: &'static str, code: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        trace::panicked(place, &*payload);
        // A payload may panic when it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        Panicked
    })
}

/// Runs a hook of the application.
pub(crate) fn caught(place: &'static str, hook: impl FnOnce()) {
    let _ = catch(place, hook);
}
