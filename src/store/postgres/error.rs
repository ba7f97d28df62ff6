use std::{borrow::Cow, fmt};

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::util::debug_is_the_text;

/// What goes wrong in a [`PostgresStore`](super::PostgresStore).
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
    /// The database does not take writes. To be found by
    /// [`check`](crate::DedupStore::check); a callback fails with [`Self::Database`].
    ReadOnly {
        /// Whether the server is a standby; otherwise `default_transaction_read_only` is on, for the
        /// server, the database, or the role.
        standby: bool,
    },
    /// The role lacks rights on the table. To be found by [`check`](crate::DedupStore::check); a
    /// callback fails with [`Self::Database`].
    Forbidden {
        /// Who needs them.
        role: String,
        /// What it lacks, as `GRANT` spells it: `INSERT, UPDATE`.
        missing: String,
    },
    /// A check took longer than three operations may.
    NoAnswer,
}

impl fmt::Display for PostgresStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => f.write_str(match code(error).as_deref() {
                Some(READ_ONLY) => "the PostgreSQL store cannot write: its database is read-only",
                Some(FORBIDDEN) => "the role of the PostgreSQL store lacks a right",
                _ => "the PostgreSQL store has a database error",
            }),
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
            Self::ReadOnly { standby: true } => f.write_str(
                "the PostgreSQL store cannot write: the server is a standby; connect to the primary",
            ),
            Self::ReadOnly { standby: false } => f.write_str(
                "the PostgreSQL store cannot write: default_transaction_read_only is on for the \
                 server, the database or the role",
            ),
            Self::Forbidden { role, missing } => write!(
                f,
                "the role {role:?} of the PostgreSQL store lacks {missing} on its table; grant it"
            ),
            Self::NoAnswer => f.write_str("the database of the PostgreSQL store does not answer"),
        }
    }
}

debug_is_the_text!(PostgresStoreError);

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

const LOCK_NOT_AVAILABLE: &str = "55P03";
const READ_ONLY: &str = "25006";
const FORBIDDEN: &str = "42501";
const NO_SUCH_TABLE: &str = "42P01";
const NO_SUCH_STATEMENT: &str = "26000";
const STATEMENT_EXISTS: &str = "42P05";

impl PostgresStoreError {
    /// Whether somebody else has locked the row for longer than we wait.
    pub(super) fn is_locked(&self) -> bool {
        self.is(LOCK_NOT_AVAILABLE)
    }

    /// Whether the connection's database does not know the table.
    pub(crate) fn is_without_table(&self) -> bool {
        self.is(NO_SUCH_TABLE)
    }

    fn is(&self, sqlstate: &str) -> bool {
        matches!(self, Self::Database(error) if code(error).is_some_and(|code| code == sqlstate))
    }
}

/// Whether the connection is of no use any more: it is broken, its server is going or cannot write,
/// or somebody left a transaction open in it.
pub(super) fn ends_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(refusal) => {
            let refusal = refusal.try_downcast_ref::<PgDatabaseError>();
            refusal.is_some_and(|it| {
                matches!(it.severity(), PgSeverity::Fatal | PgSeverity::Panic)
                    // A connection exception, an invalid state of its transaction (read-only is
                    // one), an intervention of the operator.
                    || ["08", "25", "57P"].iter().any(|class| it.code().starts_with(class))
            })
        }
        _ => false,
    }
}

/// Whether the connection is fine, and leads to a server that takes no writes.
pub(super) fn is_read_only(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == READ_ONLY)
}

/// Whether the session does not know a prepared statement.
pub(super) fn is_unprepared(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == NO_SUCH_STATEMENT)
}

/// Whether the session knows a statement that was to be prepared.
pub(super) fn is_prepared_already(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == STATEMENT_EXISTS)
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}
