use std::sync::Arc;

/// How far an event can be trusted. More is greater.
///
/// # Example
///
/// ```
/// use suno_callback::Trust;
///
/// assert!(Trust::Confirmed > Trust::SignedId);
/// assert_eq!(Trust::SignedId.as_str(), "signed_id");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Trust {
    /// The sender knew the secret of the URL.
    Unsigned,
    /// The provider signed the task id and the time. What the event says about the task is not
    /// covered: whoever saw the header pair can send another body with it for some minutes.
    SignedId,
    /// The provider's own API said so when we asked.
    Confirmed,
}

impl Trust {
    /// `unsigned`, `signed_id` or `confirmed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::SignedId => "signed_id",
            Self::Confirmed => "confirmed",
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Unsigned => 0,
            Self::SignedId => 1,
            Self::Confirmed => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Unsigned),
            1 => Some(Self::SignedId),
            2 => Some(Self::Confirmed),
            _ => None,
        }
    }
}

/// The way an event came.
///
/// # Example
///
/// ```
/// use suno_callback::{Delivery, Via};
///
/// fn note(delivery: &Delivery) {
///     if delivery.via() == Via::Poll {
///         println!("the provider did not call, or not in time");
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// The provider called.
    Callback,
    /// We asked the provider.
    Poll,
}

impl Via {
    /// `callback` or `poll`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::Poll => "poll",
        }
    }
}

/// Where an event comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) trust: Trust,
    pub(crate) via: Via,
    pub(crate) key_label: Option<Arc<str>>,
    /// Unix seconds.
    pub(crate) signed_at: Option<u64>,
}
