//! What was wrong, in one text.

use std::error::Error;

pub type BoxError = Box<dyn Error + Send + Sync>;

/// The error with its causes. Some say theirs themselves: nothing is said twice.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}
