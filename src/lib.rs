#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod arrival;
mod body;
mod caller;
mod check;
mod claim;
#[cfg(feature = "client")]
pub mod client;
mod clock;
mod confirm;
mod conflict;
mod delivery;
mod detach;
mod drain;
mod event;
#[cfg(feature = "axum")]
mod extract;
mod future;
mod gate;
mod handle;
mod heir;
mod hint;
mod keep;
mod layer;
mod lease;
mod limits;
mod milestone;
mod operation;
mod panic;
mod pipeline;
mod questions;
mod random;
pub mod reconcile;
mod rejection;
mod reply;
mod service;
mod settle;
mod shards;
mod signature;
pub mod store;
mod tally;
#[cfg(feature = "testkit")]
pub mod testkit;
mod timer;
mod times;
mod trace;
mod twins;
mod variants;

pub use self::{
    clock::{Clock, SystemClock},
    confirm::{Confirm, Confirmation, Unconfirmed},
    conflict::Conflict,
    delivery::{Delivery, Trust, Via},
    drain::{Drain, Drained},
    event::{
        CallbackKind, Failure, Inconsistency, InvalidEvent, InvalidTaskId, TaskId, VoiceEvent,
        VoiceId, VoiceOutcome, VoiceStatus,
    },
    future::ResponseFuture,
    gate::{SIGNATURE_HEADER, TIMESTAMP_HEADER},
    layer::SunoCallbackLayer,
    limits::{InvalidLimits, Limits},
    reconcile::Reconciler,
    rejection::Rejection,
    reply::{Disposition, ResponseBody},
    service::SunoCallbackService,
    signature::{InvalidKey, SigningKey, UrlSecret, WeakSecret},
    store::{AnyStore, DedupStore, MemoryStore},
    times::{InvalidTimes, Times},
};

#[cfg(feature = "client")]
pub use self::client::VoiceClient;
#[cfg(feature = "axum")]
pub use self::extract::LayerMissing;
