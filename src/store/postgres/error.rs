use std::fmt;

/// What goes wrong in a [`PostgresStore`](super::PostgresStore).
#[derive(Debug)]
#[non_exhaustive]
pub enum PostgresStoreError {
    /// The database could not be reached, or refused.
    Database(sqlx::Error),
    /// A row holds what this library never writes. It is left as it is, and its slot is not free.
    Unreadable,
    /// There is no such table. Run [`migrate`](super::PostgresStore::migrate).
    NoTable,
    /// The table is of another version of this library, or not of this library at all.
    OtherVersion {
        /// The comment on the table, which says what it is.
        found: Option<String>,
    },
}

impl fmt::Display for PostgresStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(_) => f.write_str("the PostgreSQL store has a database error"),
            Self::Unreadable => f.write_str("a row of the PostgreSQL store cannot be understood"),
            Self::NoTable => {
                f.write_str("the table of the PostgreSQL store does not exist; run `migrate`")
            }
            Self::OtherVersion { found: None } => f.write_str(
                "the table of the PostgreSQL store is somebody else's: nothing says its version",
            ),
            Self::OtherVersion { found: Some(found) } => write!(
                f,
                "the table of the PostgreSQL store says {found:?}, this crate knows {:?}",
                super::schema::VERSION
            ),
        }
    }
}

impl std::error::Error for PostgresStoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for PostgresStoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl PostgresStoreError {
    /// Whether somebody else has locked the row for longer than we wait.
    pub(super) fn is_locked(&self) -> bool {
        const LOCK_NOT_AVAILABLE: &str = "55P03";
        let Self::Database(error) = self else {
            return false;
        };
        let code = error.as_database_error().and_then(|error| error.code());
        code.is_some_and(|code| code == LOCK_NOT_AVAILABLE)
    }
}
