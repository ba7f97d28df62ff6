use std::fmt;

/// A table name that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTableName;

impl fmt::Display for InvalidTableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table name has 1 to 48 characters out of a-z 0-9 _ and starts with a letter")
    }
}

impl std::error::Error for InvalidTableName {}
