//! What the layer counts, through the [`metrics`](https://docs.rs/metrics) facade.
//!
//! Install a recorder, such as that of `metrics-exporter-prometheus`, **before the first layer is
//! made**: a layer registers all that it may count when it is put around a service, so that every
//! series is there from the start, at zero, and an event costs neither a lookup nor an allocation.
//! Without a recorder nothing is counted. `examples/receiver` shows all of it at `GET /metrics`. The
//! series of the default product are there too, because every layer begins as one of it.
//!
//! | name | type | unit | labels | what |
//! |---|---|---|---|---|
//! | `suno_callback_events_total` | counter | | `product` `stage` `disposition` | genuine events that were answered or handled, by what became of them |
//! | `suno_callback_refused_total` | counter | | `product` `reason` | requests that were refused before their event was known to be genuine |
//! | `suno_callback_postponed_total` | counter | | `product` `reason` | genuine events that were not answered with success; the provider tries again |
//! | `suno_callback_handlers_stopped_total` | counter | | `product` `reason` | handlers that ended without an answer of their own |
//! | `suno_callback_waited_seconds` | histogram | seconds | `product` `answer` | time from the head of a request to its handler, or to its answer without one |
//! | `suno_callback_handled_seconds` | histogram | seconds | `product` | time from the granted claim to the end of handler and commit |
//! | `suno_callback_heartbeats_late_total` | counter | | `product` | renewals of a lease that came late, because a handler blocked its thread |
//! | `suno_callback_claims_lost_total` | counter | | `product` | claims that somebody else held while their handler still ran |
//! | `suno_callback_commits_given_up_total` | counter | | `product` | handled events that could not be recorded; another try runs their handler again |
//! | `suno_callback_unconfirmed_total` | counter | | `product` | events that the provider could not confirm in time |
//! | `suno_callback_not_kept_total` | counter | | `product` | unconfirmed events that nobody asks on about, because the list is full |
//! | `suno_callback_requests_waiting` | gauge | | | requests that wait for a twin or for the provider's word |
//! | `suno_callback_commits_deferred` | gauge | | | handled events whose commit is under way |
//! | `suno_callback_store_operations_total` | counter | | `operation` `outcome` | operations of the store |
//! | `suno_callback_store_operation_seconds` | histogram | seconds | `operation` | time that an operation of the store took, whatever its outcome |
//! | `suno_callback_watches` | gauge | | | tasks that are asked about until their outcome is delivered |
//! | `suno_callback_watches_ended_total` | counter | | `end` | tasks that are asked about no more |
//! | `suno_callback_questions_total` | counter | | `product` `asked_for` `answer` | questions to the provider |
//!
//! Every label is one of a few constant words: never a task, nothing that came from the network.
//!
//! | label | words |
//! |---|---|
//! | `product` | [`Product::name`](crate::Product::name), or `other` where that is no short word |
//! | `stage` | [`Stage::as_str`](crate::product::Stage::as_str) |
//! | `disposition` | [`Disposition::as_str`](crate::Disposition::as_str) |
//! | `reason` | [`Rejection::as_str`](crate::Rejection::as_str) |
//! | `answer` of a wait | `handled`, `received` (without a handler), `postponed` |
//! | `operation` | `peek`, `claim`, `renew`, `commit`, `release` |
//! | `outcome` | `ok`, `failed`, `panicked`, `abandoned` (no answer in time, or nobody waited any more) |
//! | `end` | [`Watched::as_str`](crate::reconcile::Watched::as_str) |
//! | `asked_for` | `callback`, `watch` |
//! | `answer` of a question | `confirmed`, `pending`, `unavailable`, `given_up` (no answer in time) |
//!
//! A handler that is not done at the reply deadline counts twice: as postponed for `still_running`,
//! and among the events when it has ended.
//!
//! # Example
//!
//! ```
//! # fn install_recorder() {}
//! use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer};
//!
//! install_recorder(); // first
//! let key = SigningKey::new("the key of the settings page")?;
//! let layer = SunoCallbackLayer::new(key, MemoryStore::default());
//! # let _ = layer;
//! # Ok::<(), suno_callback::InvalidKey>(())
//! ```

mod catalogue;
mod events;
#[cfg(feature = "metrics")]
#[path = "on.rs"]
mod handles;
#[cfg(not(feature = "metrics"))]
#[path = "off.rs"]
mod handles;
mod level;
mod questions;
mod store;
mod watches;

pub(crate) use self::{
    events::EventMeters, level::Level, questions::Question, store::MeteredStore,
    watches::WatchMeters,
};

/// Levels of the tables that a process shares.
pub(crate) use self::catalogue::{COMMITS_DEFERRED, REQUESTS_WAITING};

/// The words of an `as_str`, from its source.
#[cfg(test)]
fn words_of(source: &str) -> Vec<&str> {
    let body = source.split("fn as_str").nth(1).unwrap();
    let body = body.split("\n    }\n").next().unwrap();
    body.split('"').skip(1).step_by(2).collect()
}
