use std::{borrow::Borrow, fmt};

use crate::event::{Text, text_traits};

/// The id of a voice: neither blank nor the word `fail`, otherwise opaque.
///
/// It may equal the task's id; that is normal. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoiceId(Text);

impl VoiceId {
    /// The id as the provider wrote it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn is_valid(id: &str) -> bool {
        !id.chars().all(char::is_whitespace) && id != "fail"
    }

    pub(super) fn parse(id: &str) -> Option<Self> {
        Self::is_valid(id).then(|| Self(id.into()))
    }
}

text_traits!(VoiceId);
