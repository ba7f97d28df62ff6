use std::fmt;

use super::Reading;
use crate::util::Escaped;

/// What a failed task says about its failure.
///
/// The text is the provider's and not verified by its signature: escape it before you show it.
#[derive(Clone, Copy)]
pub struct TaskFailure<'a>(pub(super) &'a Reading);

impl<'a> TaskFailure<'a> {
    /// The callback's `code`. kie.ai documents 400, 408, 413, 500, 501 and 531, sunoapi.org 400 for
    /// nearly everything. `None` in a record that was fetched.
    pub fn code(&self) -> Option<i64> {
        self.0.code
    }

    /// The record's `errorCode`, or a job's `failCode`, where it is a number or a text of one.
    pub fn error_code(&self) -> Option<i64> {
        self.0.error_code
    }

    /// Why, in the provider's words, where it gave any: `errorMessage`, a job's `failMsg`,
    /// otherwise the callback's `msg`. Hostile until confirmed.
    pub fn message(&self) -> Option<&'a str> {
        self.0.message()
    }

    /// Whether the provider says that the credits came back: code 531, which is documented for
    /// music and for cover images of kie.ai. `false` says nothing.
    pub fn is_refunded(&self) -> bool {
        [self.code(), self.error_code()].contains(&Some(531))
    }
}

impl PartialEq for TaskFailure<'_> {
    fn eq(&self, other: &Self) -> bool {
        let parts = |it: &Self| (it.code(), it.error_code());
        parts(self) == parts(other) && self.message() == other.message()
    }
}

impl Eq for TaskFailure<'_> {}

impl fmt::Debug for TaskFailure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskFailure")
            .field("code", &self.code())
            .field("error_code", &self.error_code())
            .field("message", &self.message().map(Escaped))
            .finish()
    }
}
