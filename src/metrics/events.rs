//! What a layer counts of the requests and events of its product.

use std::array;

use tokio::time::Instant;

use super::{
    catalogue::{
        self, CLAIMS_LOST, COMMITS_GIVEN_UP, EVENTS, HANDLED, HANDLERS_STOPPED, HEARTBEATS_LATE,
        Metric, NOT_KEPT, POSTPONED, REFUSED, UNCONFIRMED, WAITED,
    },
    handles::{Counter, Histogram, Shared, at, counter, histogram, now, record},
    questions,
};
use crate::{
    event::Stage,
    reply::{Answer, Disposition, Rejection},
};

/// Cheap to clone; without the feature it is nothing.
#[derive(Clone)]
pub(crate) struct EventMeters(Shared<Meters>);

#[derive(Clone)]
struct Meters {
    /// By stage, then by disposition.
    events: [[Counter; DISPOSITIONS.len()]; STAGES.len()],
    refused: Reasons<{ REFUSALS.len() }>,
    postponed: Reasons<{ POSTPONEMENTS.len() }>,
    stopped: Reasons<{ ENDS.len() }>,
    handled_after: Histogram,
    received_after: Histogram,
    postponed_after: Histogram,
    handled: Histogram,
    heartbeats_late: Counter,
    claims_lost: Counter,
    commits_given_up: Counter,
    unconfirmed: Counter,
    not_kept: Counter,
}

const STAGES: [&str; 5] = ["success", "failure", "progress", "inconsistent", "unknown"];

/// In the order of their declaration.
const DISPOSITIONS: [Disposition; 7] = [
    Disposition::Accepted,
    Disposition::CommitDeferred,
    Disposition::ClaimLost,
    Disposition::Duplicate,
    Disposition::Late,
    Disposition::Conflict,
    Disposition::HandlerFailed,
];

/// Why a request is refused before its event is known to be genuine.
const REFUSALS: [&str; 22] = [
    "shutting_down",
    "method",
    "content_type",
    "content_encoding",
    "header_missing",
    "header_repeated",
    "timestamp_malformed",
    "signature_malformed",
    "stale",
    "from_the_future",
    "clock_unusable",
    "url_secret_wrong",
    "body_too_large",
    "body_too_slow",
    "body_broken",
    "not_json",
    "no_task_id",
    "task_ids_differ",
    "repeated_key",
    "task_id_outside_grammar",
    "signature_wrong",
    OTHER,
];

/// Why a genuine event is not answered with success.
const POSTPONEMENTS: [&str; 9] = [
    "shutting_down",
    "too_many_waiters",
    "too_many_variants",
    "still_in_flight",
    "store_unavailable",
    "unconfirmed",
    "still_running",
    "mounted_twice",
    OTHER,
];

/// Why a handler ends without an answer.
const ENDS: [&str; 5] = [
    "shutting_down",
    "ran_too_long",
    "aborted",
    "panicked",
    OTHER,
];

/// For what is none of the words above.
const OTHER: &str = "other";

impl EventMeters {
    /// Registers all of them, so that they are there before the first event is.
    pub(crate) fn of(product: &'static str) -> Self {
        catalogue::describe();
        let product = ("product", word(product));
        questions::register(product);
        let one = |metric: &Metric| counter(metric, &[product]);
        let waited = |answer| histogram(&WAITED, &[product, ("answer", answer)]);
        let event = |stage: usize, how: usize| {
            let (stage, how) = (STAGES.get(stage), DISPOSITIONS.get(how));
            let stage = ("stage", stage.copied().unwrap_or(OTHER));
            let how = ("disposition", how.map_or(OTHER, |how| how.as_str()));
            counter(&EVENTS, &[product, stage, how])
        };
        Self(Shared::new(Meters {
            events: array::from_fn(|stage| array::from_fn(|how| event(stage, how))),
            refused: Reasons::of(&REFUSED, product, &REFUSALS),
            postponed: Reasons::of(&POSTPONED, product, &POSTPONEMENTS),
            stopped: Reasons::of(&HANDLERS_STOPPED, product, &ENDS),
            handled_after: waited("handled"),
            received_after: waited("received"),
            postponed_after: waited("postponed"),
            handled: histogram(&HANDLED, &[product]),
            heartbeats_late: one(&HEARTBEATS_LATE),
            claims_lost: one(&CLAIMS_LOST),
            commits_given_up: one(&COMMITS_GIVEN_UP),
            unconfirmed: one(&UNCONFIRMED),
            not_kept: one(&NOT_KEPT),
        }))
    }

    /// A request that was refused before its event was known to be genuine.
    pub(crate) fn refused(&self, rejection: Rejection) {
        self.0.refused.count(&REFUSALS, rejection);
    }

    /// A genuine event that was answered without its handler, or before it had ended.
    pub(crate) fn answered(&self, stage: Stage, answer: Answer, began: Instant) {
        match answer {
            Answer::Received(how) => {
                self.event(stage, how);
                record(&self.0.received_after, began, now());
            }
            Answer::Refused(rejection) => {
                self.0.postponed.count(&POSTPONEMENTS, rejection);
                record(&self.0.postponed_after, began, now());
            }
        }
    }

    /// A genuine event whose handler has ended.
    pub(crate) fn handled(
        &self,
        stage: Stage,
        how: Disposition,
        stopped: Option<Rejection>,
        (began, granted): (Instant, Instant),
    ) {
        self.event(stage, how);
        if let Some(why) = stopped {
            self.0.stopped.count(&ENDS, why);
        }
        record(&self.0.handled, granted, now());
        record(&self.0.handled_after, began, at(granted));
    }

    pub(crate) fn heartbeat_late(&self) {
        self.0.heartbeats_late.increment(1);
    }

    pub(crate) fn claim_lost(&self) {
        self.0.claims_lost.increment(1);
    }

    pub(crate) fn commit_given_up(&self) {
        self.0.commits_given_up.increment(1);
    }

    pub(crate) fn unconfirmed(&self) {
        self.0.unconfirmed.increment(1);
    }

    pub(crate) fn not_kept(&self) {
        self.0.not_kept.increment(1);
    }

    fn event(&self, stage: Stage, how: Disposition) {
        let stage = match stage {
            Stage::Success => 0,
            Stage::Failure => 1,
            Stage::Progress { .. } => 2,
            Stage::Inconsistent { .. } => 3,
            Stage::Unknown => 4,
        };
        let of_stage = self.0.events.get(stage);
        if let Some(counter) = of_stage.and_then(|it| it.get(how as usize)) {
            counter.increment(1);
        }
    }
}

/// Requests by the reason of their end, the last of which is for all that are not listed.
#[derive(Clone)]
struct Reasons<const N: usize>([Counter; N]);

impl<const N: usize> Reasons<N> {
    fn of(
        metric: &Metric,
        product: (&'static str, &'static str),
        words: &[&'static str; N],
    ) -> Self {
        Self(words.map(|word| counter(metric, &[product, ("reason", word)])))
    }

    fn count(&self, words: &[&'static str; N], why: Rejection) {
        let word = why.as_str();
        let at = words.iter().position(|it| *it == word).unwrap_or(N - 1);
        if let Some(counter) = self.0.get(at) {
            counter.increment(1);
        }
    }
}

/// A name as a label: whoever reads it expects a word.
pub(super) fn word(name: &'static str) -> &'static str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    match (1..=64).contains(&name.len()) && name.bytes().all(is_plain) {
        true => name,
        false => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::words_of;

    #[test]
    fn every_reason_to_refuse_has_its_series() {
        let words = words_of(include_str!("../reply/rejection.rs"));
        assert!(words.len() > 30, "{words:?}");
        let listed: Vec<_> = [&REFUSALS[..], &POSTPONEMENTS, &ENDS].concat();
        let unlisted = words.iter().filter(|word| !listed.contains(word));
        assert_eq!(unlisted.collect::<Vec<_>>(), [] as [&&str; 0]);
        let unknown = listed.iter().filter(|word| !words.contains(word));
        assert!(unknown.into_iter().all(|word| *word == OTHER));
    }

    #[test]
    fn every_disposition_and_every_stage_has_its_series() {
        let words = words_of(include_str!("../reply/disposition.rs"));
        assert_eq!(DISPOSITIONS.map(Disposition::as_str)[..], words[..]);
        let places = DISPOSITIONS.map(|how| how as usize);
        assert!(places.into_iter().eq(0..DISPOSITIONS.len()));
        assert_eq!(STAGES[..], words_of(include_str!("../event/stage.rs"))[..]);
    }

    #[test]
    fn a_name_that_is_no_word_is_one_fixed_label() {
        for name in ["", "two words", "a\"quote", "lime\n", "ünïcode"] {
            assert_eq!(word(name), OTHER, "{name:?}");
        }
        assert_eq!(word("cover_image-2"), "cover_image-2");
    }
}
