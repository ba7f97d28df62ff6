use std::fmt;

use crate::util::debug_is_the_text;

/// A table name that cannot be used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InvalidTableName;

impl fmt::Display for InvalidTableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table name has 1 to 48 characters out of a-z 0-9 _ and starts with a letter")
    }
}

debug_is_the_text!(InvalidTableName);

impl std::error::Error for InvalidTableName {}

/// Whether `name` means the same in SQL with and without quotes.
pub(super) fn is_table_name(name: &str) -> bool {
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    begins && name.len() <= 48 && name.bytes().all(is_part)
}
