//! What is logged without an event at hand. Without the `tracing` feature all of it is nothing.
//!
//! Text from outside is escaped and cut; keys, signatures and bodies have no way in here.

#[cfg(not(feature = "tracing"))]
pub(crate) use self::off::*;
#[cfg(feature = "tracing")]
pub(crate) use self::on::*;

#[cfg(feature = "tracing")]
mod on {
    use std::any::Any;

    use tower::BoxError;
    use tracing::{error, info, warn};

    use crate::util::{Escaped, WithCauses};

    pub(crate) const TARGET: &str = "suno_callback";

    pub(crate) fn short_key() {
        warn!(
            target: TARGET,
            "a signing key is shorter than 16 bytes; is it the whole key of the settings page?",
        );
    }

    pub(crate) fn store_failed(operation: &'static str, error: &BoxError) {
        let error = WithCauses(&**error).to_string();
        warn!(target: TARGET, operation, error = ?Escaped(&error), "the store failed");
    }

    pub(crate) fn store_slow(operation: &'static str) {
        warn!(target: TARGET, operation, "the store did not answer in time");
    }

    #[cfg(feature = "redis")]
    pub(crate) fn eviction_possible(policy: &str) {
        let policy = Escaped(policy);
        warn!(
            target: TARGET,
            ?policy,
            "the store may evict what it must remember; set maxmemory-policy to noeviction",
        );
    }

    #[cfg(feature = "redis")]
    pub(crate) fn eviction_unknown() {
        warn!(
            target: TARGET,
            "the store does not say whether it evicts; its maxmemory-policy must be noeviction",
        );
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn file_replaced(path: &std::path::Path) {
        let path = path.display().to_string();
        warn!(
            target: TARGET,
            path = ?Escaped(&path),
            "the file of the SQLite store was deleted or replaced, and nothing is remembered; put it \
             back, or restart",
        );
    }

    #[cfg(feature = "client")]
    pub(crate) fn question_failed(task: &str, reason: &'static str, error: &dyn std::error::Error) {
        let task_id = Escaped(task);
        warn!(target: TARGET, ?task_id, reason, %error, "the provider's API gave no answer");
    }

    pub(crate) fn watch_ended(task: &str, how: &'static str) {
        let task_id = Escaped(task);
        info!(target: TARGET, ?task_id, how, "a watch ended");
    }

    pub(crate) fn watch_failed(task: &str, how: &'static str) {
        let task_id = Escaped(task);
        error!(target: TARGET, ?task_id, how, "a watch ended without an outcome");
    }

    pub(crate) fn panicked(place: &'static str, payload: &(dyn Any + Send)) {
        let message = payload.downcast_ref::<&str>().copied();
        let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let message = Escaped(message.unwrap_or("not a text"));
        error!(target: TARGET, place, ?message, "panicked");
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use std::any::Any;

    use tower::BoxError;

    pub(crate) fn short_key() {}
    pub(crate) fn store_failed(_: &'static str, _: &BoxError) {}
    pub(crate) fn store_slow(_: &'static str) {}
    #[cfg(feature = "redis")]
    pub(crate) fn eviction_possible(_: &str) {}
    #[cfg(feature = "redis")]
    pub(crate) fn eviction_unknown() {}
    #[cfg(feature = "sqlite")]
    pub(crate) fn file_replaced(_: &std::path::Path) {}
    #[cfg(feature = "client")]
    pub(crate) fn question_failed(_: &str, _: &'static str, _: &dyn std::error::Error) {}
    pub(crate) fn watch_ended(_: &str, _: &'static str) {}
    pub(crate) fn watch_failed(_: &str, _: &'static str) {}
    pub(crate) fn panicked(_: &'static str, _: &(dyn Any + Send)) {}
}
