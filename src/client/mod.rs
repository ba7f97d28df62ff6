//! Asks the provider what is true: [`VoiceClient`], and [`Reconciler`] for callbacks that never
//! come.
//!
//! The signature says that the provider once sent something about a task; a forged body may claim
//! anything about it. And after three failed tries the provider stops calling for ever. The
//! [`VoiceClient`] closes the first hole as the layer's [`Confirm`](crate::Confirm), the
//! [`Reconciler`] the second.

mod answer;
mod base;
mod error;
mod https;
mod key;
mod pace;
mod rate;
mod reconciler;
mod voice;
mod watch;
mod watchlist;

pub use self::{
    base::{InvalidBaseUrl, KIE_AI, SUNOAPI_ORG},
    error::ClientError,
    https::HttpsClient,
    key::{ApiKey, InvalidApiKey},
    pace::Pace,
    reconciler::Reconciler,
    voice::VoiceClient,
    watch::{Unsettled, Watch, Watched},
    watchlist::Watchlist,
};
