use std::fmt;

/// What goes wrong in a [`SqliteStore`](super::SqliteStore).
#[derive(Debug)]
#[non_exhaustive]
pub enum SqliteStoreError {
    /// The database said no, or could not be reached. Also that it is locked by another writer for
    /// longer than the pool's `busy_timeout`.
    Database(sqlx::Error),
    /// A row holds what no version of this store has written.
    Unreadable,
    /// The table was made by another version of this store.
    OtherVersion {
        /// The version of the table.
        found: i64,
    },
    /// The database is set up so that it could forget, with what to do about it.
    Unsuitable(&'static str),
}

impl fmt::Display for SqliteStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) if is_read_only(error) => {
                f.write_str("the SQLite store cannot write to its database: it is read-only")
            }
            Self::Database(_) => f.write_str("the SQLite store has a database error"),
            Self::Unreadable => f.write_str("a row of the SQLite store cannot be understood"),
            Self::OtherVersion { found } => write!(
                f,
                "the table of the SQLite store has version {found}, this crate knows version {}",
                super::VERSION
            ),
            Self::Unsuitable(why) => write!(f, "the SQLite store cannot use this database: {why}"),
        }
    }
}

impl std::error::Error for SqliteStoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for SqliteStoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// SQLITE_BUSY: somebody else writes.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    code(error) == Some(5)
}

/// SQLITE_READONLY.
fn is_read_only(error: &sqlx::Error) -> bool {
    code(error) == Some(8)
}

/// The result code without its extension.
fn code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    Some(code.parse::<u32>().ok()? & 0xff)
}
