//! Where the result of a task stands, and what was found there.

use std::cell::Cell;

use super::Json;

/// The JSON that has the result, by where it stands.
#[derive(Clone, Copy)]
pub(in crate::product) enum Content<'a> {
    /// The value of the product's own key in a callback.
    Callback(Json<'a>),
    /// `response` of a record.
    Record(Json<'a>),
    /// What `resultJson` of a job holds.
    Job(Json<'a>),
    /// The whole body, for who has no key of its own.
    Body(Json<'a>),
}

/// What a content says.
#[derive(Debug, PartialEq)]
pub(in crate::product) enum Found {
    Nothing,
    /// Something to work with, and what two successes must agree on.
    Usable(Option<String>),
    /// Another product's, by name.
    Foreign(&'static str),
    /// One key says two things, or two contents do.
    Ambiguous,
}

/// A place of a [`Content`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Callback,
    Record,
    Job,
    Body,
}

impl Place {
    /// Opens what stands there; `None` where a job's result is no JSON.
    pub(super) fn open<T>(
        self,
        json: &str,
        read: impl FnOnce(Content<'_>) -> T,
    ) -> Option<(T, bool)> {
        let is_ambiguous = Cell::new(false);
        let it = Json::new(json, &is_ambiguous);
        let read = match self {
            Self::Callback => read(Content::Callback(it)),
            Self::Record => read(Content::Record(it)),
            Self::Body => read(Content::Body(it)),
            Self::Job => it.unfold(|result| read(Content::Job(result)))?,
        };
        Some((read, is_ambiguous.get()))
    }

    /// What is found there, by a product's `found`.
    pub(super) fn look(self, json: &str, found: impl FnOnce(Content<'_>) -> Found) -> Found {
        match self.open(json, found) {
            Some((_, true)) => Found::Ambiguous,
            Some((found, false)) => found,
            None => Found::Nothing,
        }
    }
}

impl Found {
    /// What two contents of one body say together.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, it) | (it, Self::Nothing) => it,
            (Self::Usable(one), Self::Usable(other)) if one != other => Self::Ambiguous,
            (Self::Ambiguous, _) | (_, Self::Ambiguous) => Self::Ambiguous,
            (it @ Self::Usable(_), _) | (_, it @ Self::Usable(_)) => it,
            (it @ Self::Foreign(_), Self::Foreign(_)) => it,
        }
    }

    pub(super) fn is_usable(&self) -> bool {
        matches!(self, Self::Usable(_))
    }

    pub(super) fn foreign(&self) -> Option<&'static str> {
        match self {
            Self::Foreign(product) => Some(product),
            _ => None,
        }
    }

    pub(super) fn into_result(self) -> Option<String> {
        match self {
            Self::Usable(result) => result,
            _ => None,
        }
    }
}
