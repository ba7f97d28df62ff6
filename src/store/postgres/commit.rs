use std::fmt;

use super::PostgresStoreError;

/// Why a record was not committed in a handler's transaction, which must be rolled back.
#[derive(Debug)]
#[non_exhaustive]
pub enum CommitError {
    /// Somebody else holds the event, or has handled it: this process was paused for too long.
    Lost,
    /// An earlier transaction of the same handler has committed this very delivery, and its effect
    /// with it.
    Repeated,
    /// The transaction is within a savepoint that is not sqlx's own. To that it could be rolled back,
    /// without the record, and then be committed with its effect.
    Savepoint,
    /// The transaction's database has no such claim, or no such table: it is not the one of the
    /// layer's store, or its `search_path` leads to another table.
    OtherDatabase,
    /// The layer's store is no [`PostgresStore`](super::PostgresStore); see
    /// [`commit_in`](super::PostgresStore::commit_in).
    NoLedger,
    /// The database failed, or the row cannot be understood.
    Store(PostgresStoreError),
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("the claim was lost to another holder; roll back"),
            Self::Repeated => f.write_str("the delivery was committed before; roll back"),
            Self::Savepoint => f.write_str(
                "a delivery cannot be committed within a savepoint that was made by hand; release \
                 the savepoint first",
            ),
            Self::OtherDatabase => f.write_str(
                "the transaction's database does not know the claim; commit_in needs a transaction \
                 on the database, and the table, of the layer's store",
            ),
            Self::NoLedger => f.write_str("the layer's store is not a PostgresStore"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<PostgresStoreError> for CommitError {
    fn from(error: PostgresStoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for CommitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
