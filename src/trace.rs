//! Everything the layer logs, in one place: one event per request, and what an operator must see.
//!
//! Without the `tracing` feature all of it is nothing. Text of the provider is escaped and cut;
//! keys, signatures and bodies have no way in here.

#[cfg(not(feature = "tracing"))]
pub(crate) use self::off::*;
#[cfg(feature = "tracing")]
pub(crate) use self::on::*;

#[cfg(feature = "tracing")]
mod on {
    use std::{any::Any, error::Error, time::Duration};

    use tokio::time::Instant;
    use tower::BoxError;
    use tracing::{
        debug, error,
        field::{DisplayValue, display},
        info, warn,
    };

    #[cfg(feature = "client")]
    use crate::client::ClientError;
    use crate::{
        arrival::Arrival,
        claim::Answer,
        conflict::Conflict,
        delivery::Delivery,
        event::{Escaped, TaskId},
        rejection::Rejection,
        reply::Disposition,
    };

    const TARGET: &str = "suno_callback";

    /// One line about a genuine event.
    macro_rules! about {
        ($level:ident, $arrival:ident, $($rest:tt)+) => {
            $level!(
                target: TARGET,
                task_id = ?Escaped($arrival.event().task_id().as_str()),
                kind = $arrival.event().kind().as_str(),
                outcome = $arrival.event().outcome().as_str(),
                trust = $arrival.trust().as_str(),
                key = $arrival.key_label(),
                hint = $arrival.event().foreign().map(another_route),
                $($rest)+
            )
        };
    }

    /// Content that is plainly another product's is no voice's, and its handler waits elsewhere.
    fn another_route(product: &str) -> DisplayValue<String> {
        display(format!(
            "content of {product}: is the URL of another product's route?"
        ))
    }

    /// A request that was refused before its event was known to be genuine.
    pub(crate) fn refused(rejection: Rejection, hint: impl FnOnce() -> Option<&'static str>) {
        let status = rejection.status().as_u16();
        match rejection {
            Rejection::ShuttingDown | Rejection::Method => {
                debug!(target: TARGET, status, reason = %rejection, "refused");
            }
            _ => warn!(target: TARGET, status, reason = %rejection, hint = hint(), "refused"),
        }
    }

    /// A genuine event that was answered without its handler, or before it had ended.
    pub(crate) fn answered(arrival: &Arrival, answer: Answer) {
        match answer {
            Answer::Received(disposition) => about!(
                info,
                arrival,
                waited = ?arrival.began.elapsed(),
                disposition = disposition.as_str(),
                "received",
            ),
            Answer::Refused(rejection) => about!(
                warn,
                arrival,
                waited = ?arrival.began.elapsed(),
                status = rejection.status().as_u16(),
                reason = %rejection,
                "postponed",
            ),
        }
    }

    /// A genuine event whose handler has ended.
    pub(crate) fn handled(
        arrival: &Arrival,
        how: Disposition,
        stopped: Option<Rejection>,
        granted: Instant,
    ) {
        about!(
            info,
            arrival,
            via = arrival.via().as_str(),
            waited = ?(granted - arrival.began),
            handled = ?granted.elapsed(),
            disposition = how.as_str(),
            stopped = stopped.map(|why| why.as_str()),
            "handled",
        );
    }

    pub(crate) fn short_key() {
        warn!(
            target: TARGET,
            "a signing key is shorter than 16 bytes; is it the whole key of the settings page?",
        );
    }

    pub(crate) fn store_failed(operation: &'static str, error: &BoxError) {
        let error = with_its_causes(&**error);
        warn!(target: TARGET, operation, error = ?Escaped(&error), "the store failed");
    }

    /// A store's own text may say no more than that its database failed.
    pub(super) fn with_its_causes(error: &(dyn Error + 'static)) -> String {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
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

    pub(crate) fn record_unreadable(arrival: &Arrival) {
        let task_id = Escaped(arrival.event().task_id().as_str());
        error!(target: TARGET, ?task_id, "the store's record cannot be read");
    }

    pub(crate) fn mounted_twice(arrival: &Arrival) {
        let task_id = Escaped(arrival.event().task_id().as_str());
        error!(
            target: TARGET,
            ?task_id,
            "the layer is mounted twice: a request came through one layer into another that handles \
             the same events; mount it on the route or on its router, not on both, or give each a \
             namespace",
        );
    }

    pub(crate) fn heartbeat_late(arrival: &Arrival, by: Duration) {
        let task_id = Escaped(arrival.event().task_id().as_str());
        warn!(
            target: TARGET,
            ?task_id,
            ?by,
            "a heartbeat was late; does the handler block its thread?",
        );
    }

    pub(crate) fn claim_lost(delivery: &Delivery) {
        let task_id = Escaped(delivery.0.event().task_id().as_str());
        let (fence, attempt) = (delivery.fence(), delivery.attempt());
        error!(
            target: TARGET,
            ?task_id,
            fence,
            attempt,
            "the claim was lost while its handler ran; the handler may run twice",
        );
    }

    pub(crate) fn commit_given_up(delivery: &Delivery) {
        let task_id = Escaped(delivery.0.event().task_id().as_str());
        error!(
            target: TARGET,
            ?task_id,
            "a handled event could not be recorded; another try would run its handler again",
        );
    }

    pub(crate) fn unconfirmed(arrival: &Arrival) {
        let task_id = Escaped(arrival.event().task_id().as_str());
        warn!(target: TARGET, ?task_id, "the provider could not confirm an event");
    }

    #[cfg(feature = "client")]
    pub(crate) fn question_failed(task: &TaskId, error: &ClientError) {
        let (task_id, reason) = (Escaped(task.as_str()), error.as_str());
        warn!(target: TARGET, ?task_id, reason, %error, "the provider's API gave no answer");
    }

    /// What could not be confirmed, and is not asked on about.
    pub(crate) fn not_kept(arrival: &Arrival) {
        let task_id = Escaped(arrival.event().task_id().as_str());
        error!(
            target: TARGET,
            ?task_id,
            "an event that could not be confirmed is not kept; only another try can deliver it",
        );
    }

    pub(crate) fn watch_ended(task: &TaskId, how: &'static str) {
        let task_id = Escaped(task.as_str());
        info!(target: TARGET, ?task_id, how, "a watch ended");
    }

    pub(crate) fn watch_failed(task: &TaskId, how: &'static str) {
        let task_id = Escaped(task.as_str());
        error!(target: TARGET, ?task_id, how, "a watch ended without an outcome");
    }

    pub(crate) fn conflict(conflict: &Conflict) {
        error!(
            target: TARGET,
            task_id = ?Escaped(conflict.task_id().as_str()),
            voice_id = ?conflict.voice_id(),
            same_header_pair = ?conflict.same_header_pair,
            first_trust = conflict.first_trust.as_str(),
            "a task succeeded twice with different voices; the first stands",
        );
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
    use std::{any::Any, time::Duration};

    use tokio::time::Instant;
    use tower::BoxError;

    #[cfg(feature = "client")]
    use crate::client::ClientError;
    use crate::{
        arrival::Arrival, claim::Answer, conflict::Conflict, delivery::Delivery, event::TaskId,
        rejection::Rejection, reply::Disposition,
    };

    pub(crate) fn refused(_: Rejection, _: impl FnOnce() -> Option<&'static str>) {}
    pub(crate) fn answered(arrival: &Arrival, _: Answer) {
        let _ = (arrival.began, arrival.event().foreign()); // which nobody else reads
    }
    pub(crate) fn handled(_: &Arrival, _: Disposition, _: Option<Rejection>, _: Instant) {}
    pub(crate) fn short_key() {}
    pub(crate) fn store_failed(_: &'static str, _: &BoxError) {}
    pub(crate) fn store_slow(_: &'static str) {}
    #[cfg(feature = "redis")]
    pub(crate) fn eviction_possible(_: &str) {}
    #[cfg(feature = "redis")]
    pub(crate) fn eviction_unknown() {}
    #[cfg(feature = "sqlite")]
    pub(crate) fn file_replaced(_: &std::path::Path) {}
    pub(crate) fn record_unreadable(_: &Arrival) {}
    pub(crate) fn mounted_twice(_: &Arrival) {}
    pub(crate) fn heartbeat_late(_: &Arrival, _: Duration) {}
    pub(crate) fn claim_lost(_: &Delivery) {}
    pub(crate) fn commit_given_up(_: &Delivery) {}
    pub(crate) fn unconfirmed(_: &Arrival) {}
    #[cfg(feature = "client")]
    pub(crate) fn question_failed(_: &TaskId, _: &ClientError) {}
    pub(crate) fn not_kept(_: &Arrival) {}
    pub(crate) fn watch_ended(_: &TaskId, _: &'static str) {}
    pub(crate) fn watch_failed(_: &TaskId, _: &'static str) {}
    pub(crate) fn conflict(_: &Conflict) {}
    pub(crate) fn panicked(_: &'static str, _: &(dyn Any + Send)) {}
}

#[cfg(all(test, feature = "tracing"))]
mod tests {
    use super::on::with_its_causes;

    #[test]
    fn an_error_is_logged_with_its_causes() {
        #[derive(Debug)]
        struct Outer(std::fmt::Error);

        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the store has an error")
            }
        }

        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }

        let text = with_its_causes(&Outer(std::fmt::Error));
        assert_eq!(text, format!("the store has an error: {}", std::fmt::Error));
    }
}
