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
    use std::time::Duration;

    use tokio::time::Instant;
    use tracing::{
        debug, error,
        field::{DisplayValue, display},
        info, warn,
    };

    use crate::{
        delivery::{Conflict, Delivery, arrival::Arrival},
        reply::{Answer, Disposition, Rejection},
        util::{Escaped, log::TARGET},
    };

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

    /// What could not be confirmed, and is not asked on about.
    pub(crate) fn not_kept(arrival: &Arrival) {
        let task_id = Escaped(arrival.event().task_id().as_str());
        error!(
            target: TARGET,
            ?task_id,
            "an event that could not be confirmed is not kept; only another try can deliver it",
        );
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
}

#[cfg(not(feature = "tracing"))]
mod off {
    use std::time::Duration;

    use tokio::time::Instant;

    use crate::{
        delivery::{Conflict, Delivery, arrival::Arrival},
        reply::{Answer, Disposition, Rejection},
    };

    pub(crate) fn refused(_: Rejection, _: impl FnOnce() -> Option<&'static str>) {}
    pub(crate) fn answered(arrival: &Arrival, _: Answer) {
        let _ = (arrival.began, arrival.event().foreign()); // which nobody else reads
    }
    pub(crate) fn handled(_: &Arrival, _: Disposition, _: Option<Rejection>, _: Instant) {}
    pub(crate) fn record_unreadable(_: &Arrival) {}
    pub(crate) fn mounted_twice(_: &Arrival) {}
    pub(crate) fn heartbeat_late(_: &Arrival, _: Duration) {}
    pub(crate) fn claim_lost(_: &Delivery) {}
    pub(crate) fn commit_given_up(_: &Delivery) {}
    pub(crate) fn unconfirmed(_: &Arrival) {}
    pub(crate) fn not_kept(_: &Arrival) {}
    pub(crate) fn conflict(_: &Conflict) {}
}
