//! Asks the provider what is true: [`SunoClient`].
//!
//! The signature says that the provider once sent something about a task; a forged body may claim
//! anything about it. And after three failed tries the provider stops calling for ever. The
//! [`SunoClient`] closes the first hole as the layer's [`Confirm`](crate::Confirm), and the second
//! as what a [`Reconciler`] asks.

mod answer;
mod base;
mod confirm;
mod error;
mod exchange;
mod https;
mod key;
mod rate;
mod spacing;
mod suno;

pub use self::{
    base::{InvalidBaseUrl, KIE_AI, SUNOAPI_ORG},
    error::ClientError,
    https::HttpsClient,
    key::{ApiKey, InvalidApiKey},
    suno::SunoClient,
};
pub use crate::reconcile::{InvalidPace, Pace, Reconciler, Unsettled, Watch, Watched, Watchlist};

/// The [`SunoClient`] under the name of its first product.
pub type VoiceClient<S> = SunoClient<S>;
