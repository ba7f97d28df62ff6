//! Why a check fails.

use crate::layer::Case;

/// The cause of a fault, and the case without it where that can be had.
pub struct Cause {
    pub why: String,
    pub mended: Option<Case>,
}

impl Cause {
    pub fn new(why: impl Into<String>, mended: Option<Case>) -> Self {
        let why = why.into();
        Self { why, mended }
    }

    /// One that leaves nothing to go on with.
    pub fn last(why: impl Into<String>) -> Self {
        Self::new(why, None)
    }
}
