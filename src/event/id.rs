use std::{borrow::Borrow, fmt, sync::Arc};

use super::text::Text;

/// The id of a task: 1 to 256 bytes without control characters, otherwise opaque.
///
/// In a [`VoiceEvent`](crate::VoiceEvent) it is the very id whose signature was verified. Cheap to
/// clone; it shares memory with the event, so an application that keeps ids for long keeps
/// [`String`]s of them.
///
/// # Example
///
/// ```
/// use suno_callback::TaskId;
///
/// let id = TaskId::new("ee9c2715375b7837f8bb51d641ff5863")?;
/// assert_eq!(id.as_str().len(), 32);
/// assert!(TaskId::new("").is_err());
/// # Ok::<(), suno_callback::InvalidTaskId>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(Text);

impl TaskId {
    /// The longest task id, in bytes.
    pub const MAX_LEN: usize = 256;

    /// Takes an id that the provider's API returned.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskId`] when it is empty, longer than [`TaskId::MAX_LEN`] bytes, or has a control
    /// character.
    pub fn new(id: impl Into<Arc<str>>) -> Result<Self, InvalidTaskId> {
        let id = id.into();
        if Self::is_valid(&id) {
            Ok(Self(id.into()))
        } else {
            Err(InvalidTaskId)
        }
    }

    /// The id as the provider wrote it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The same id in memory of its own: for maps that outlive the event.
    pub(crate) fn unshared(&self) -> Self {
        Self(Arc::<str>::from(self.as_str()).into())
    }

    pub(super) fn is_valid(id: &str) -> bool {
        (1..=Self::MAX_LEN).contains(&id.len()) && !id.contains(char::is_control)
    }

    /// Wraps what [`TaskId::is_valid`] has seen.
    pub(super) fn from_valid(id: Text) -> Self {
        Self(id)
    }
}

/// The id of a voice: neither empty nor the word `fail`, otherwise opaque.
///
/// It may equal the task's id; that is normal. Cheap to clone, and shares memory with its event.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoiceId(Text);

impl VoiceId {
    /// The id as the provider wrote it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn is_valid(id: &str) -> bool {
        !id.is_empty() && id != "fail"
    }

    /// Wraps what [`VoiceId::is_valid`] has seen.
    pub(super) fn from_valid(id: Text) -> Self {
        Self(id)
    }
}

macro_rules! text_traits {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }
    };
}

text_traits!(TaskId);
text_traits!(VoiceId);

/// What was offered as a [`TaskId`] is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTaskId;

impl fmt::Display for InvalidTaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task id has 1 to 256 bytes and no control characters")
    }
}

impl std::error::Error for InvalidTaskId {}
