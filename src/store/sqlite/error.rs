use std::{fmt, io, path::PathBuf};

use crate::util::debug_is_the_text;

/// What goes wrong in a [`SqliteStore`](super::SqliteStore).
#[non_exhaustive]
pub enum SqliteStoreError {
    /// The database said no, or could not be reached. Also that it is locked by another writer for
    /// longer than the pool's `busy_timeout`.
    Database(sqlx::Error),
    /// A file is in the way: of the database, beside it, or the directory of both.
    InTheWay {
        /// Which one.
        path: PathBuf,
        /// What the system says about it.
        error: io::Error,
    },
    /// The file of the database was deleted or replaced while it was in use. What is written to the
    /// old one would be lost, and the new one knows nothing, so nothing is claimed until the old one
    /// is back or the process is started again.
    Replaced {
        /// Where the file was.
        path: PathBuf,
    },
    /// A check took longer than three operations may.
    NoAnswer,
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
            Self::Database(error) if is_without_table(error) => {
                f.write_str("the table of the SQLite store does not exist; run `migrate`")
            }
            Self::Database(_) => f.write_str("the SQLite store has a database error"),
            Self::InTheWay { path, .. } => {
                write!(f, "the SQLite store cannot use {}", path.display())
            }
            Self::Replaced { path } => write!(
                f,
                "the file of the SQLite store was deleted or replaced: {}; put it back, or restart",
                path.display()
            ),
            Self::NoAnswer => f.write_str("the database of the SQLite store does not answer"),
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

debug_is_the_text!(SqliteStoreError);

impl std::error::Error for SqliteStoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(error) => Some(error),
            Self::InTheWay { error, .. } => Some(error),
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

/// Whether the connection is of no use any more: broken, or open on a file that it cannot use, which
/// another may. SQLITE_READONLY, _IOERR, _CORRUPT, _CANTOPEN, _NOTADB.
pub(super) fn ends_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => matches!(code(error), Some(8 | 10 | 11 | 14 | 26)),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// Whether SQLite stumbled over one of its files. SQLITE_PERM, _READONLY, _CANTOPEN.
pub(super) fn is_about_a_file(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(3 | 8 | 14))
}

/// There is a code of its own for nothing that is wrong with a statement.
fn is_without_table(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| error.message().starts_with("no such table"))
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
