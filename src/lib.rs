#![doc = include_str!("../README.md")]
// Its pictures are files there; the documentation has them where they belong.
#![doc = "<style>img.readme { display: none }</style>"]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::incompatible_msrv,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[cfg(feature = "client")]
pub mod client;
mod config;
mod confirm;
mod delivery;
mod event;
#[cfg(feature = "axum")]
mod extract;
mod future;
mod layer;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
mod metrics;
mod process;
pub mod product;
pub mod reconcile;
mod reply;
mod request;
mod respond;
mod service;
mod signature;
pub mod store;
#[cfg(feature = "testkit")]
pub mod testkit;
mod util;
mod voices;
mod watch;

pub use self::{
    config::{Clock, InvalidLimits, InvalidTimes, Limits, SystemClock, Times},
    confirm::{Confirm, Confirmation, Unconfirmed},
    delivery::{Conflict, Delivery, Trust, Via},
    event::{InvalidEvent, InvalidTaskId, TaskId},
    future::ResponseFuture,
    layer::SunoCallbackLayer,
    process::drain::{Drain, Drained},
    product::{
        CallbackKind, Failure, Inconsistency, Product, VoiceEvent, VoiceId, VoiceOutcome,
        VoiceStatus,
    },
    reconcile::Reconciler,
    reply::{Disposition, Rejection, ResponseBody},
    service::SunoCallbackService,
    signature::{
        InvalidKey, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER, UrlSecret, WeakSecret,
    },
    store::{AnyStore, DedupStore, MemoryStore},
};

#[cfg(feature = "client")]
pub use self::client::{SunoClient, VoiceClient};
#[cfg(feature = "axum")]
pub use self::extract::LayerMissing;
