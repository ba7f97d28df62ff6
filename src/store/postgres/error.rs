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
    OtherTable {
        /// The comment on the table, which says whose it is.
        comment: Option<String>,
    },
}

impl fmt::Display for PostgresStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => write!(f, "the database failed: {error}"),
            Self::Unreadable => f.write_str("a row of the table of slots cannot be understood"),
            Self::NoTable => f.write_str("the table of slots does not exist; run `migrate`"),
            Self::OtherTable { comment } => write!(
                f,
                "the table of slots must have the comment {:?}, but has {comment:?}; \
                 it is of another version, or not a table of slots",
                super::schema::VERSION,
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
