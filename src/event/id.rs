use std::{borrow::Borrow, fmt};

use super::text::Text;

/// The id of a task: 1 to 256 bytes without control characters, otherwise opaque.
///
/// In the event of a callback it is the very id whose signature was verified. Cheap to clone.
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
    pub fn new(id: impl AsRef<str>) -> Result<Self, InvalidTaskId> {
        let id = id.as_ref();
        match Self::is_valid(id) {
            true => Ok(Self::from_valid(id)),
            false => Err(InvalidTaskId),
        }
    }

    /// The id as the provider wrote it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn is_valid(id: &str) -> bool {
        let has_control = match id.is_ascii() {
            // To the end: without a way out the compiler looks at many bytes at once.
            true => id
                .bytes()
                .fold(false, |found, byte| found | byte.is_ascii_control()),
            false => id.contains(char::is_control),
        };
        (1..=Self::MAX_LEN).contains(&id.len()) && !has_control
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Wraps what [`TaskId::is_valid`] has seen.
    pub(crate) fn from_valid(id: &str) -> Self {
        Self(id.into())
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

pub(crate) use text_traits;

/// What was offered as a [`TaskId`] is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTaskId;

impl fmt::Display for InvalidTaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task id has 1 to 256 bytes and no control characters")
    }
}

impl std::error::Error for InvalidTaskId {}
