//! The table: made once, and checked before use.

use sqlx::{AssertSqlSafe, Executor as _, Row as _, postgres::PgRow, raw_sql};

use super::{PostgresStore, Statements, error::PostgresStoreError};

/// The comment on the table. A change of the table changes the number.
pub(super) const VERSION: &str = "suno-callback slots, version 1";

/// Held while the table is made, so that replicas which start together do not collide. Any number
/// that nobody else uses: the ASCII of "sunocall".
const MIGRATION_LOCK: i64 = 0x7375_6e6f_6361_6c6c;

impl PostgresStore {
    /// Creates the table where it is missing, and checks that it is of this version.
    ///
    /// May run in every replica at every start. Needs the right to create a table; for those who
    /// make their tables in another way there is [`schema`](Self::schema) and
    /// [`check`](crate::DedupStore::check).
    ///
    /// # Errors
    ///
    /// [`PostgresStoreError::OtherVersion`] when there is a table of another version, which is not
    /// touched; [`PostgresStoreError::Database`] when the database cannot be reached or refuses.
    ///
    /// # Cancellation safety
    ///
    /// One transaction: either all of it is there or nothing.
    pub async fn migrate(&self) -> Result<(), PostgresStoreError> {
        // Whatever the session's default is: who waited for the lock must see what was made meanwhile.
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
        let mut tx = self.connections.pool().begin_with(begin).await?;
        let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
        raw_sql(AssertSqlSafe(lock)).execute(&mut *tx).await?;
        let found = tx.fetch_one(raw_sql(self.sql.version())).await?;
        match version(&found) {
            Err(PostgresStoreError::NoTable) => {
                let schema = AssertSqlSafe(self.sql.schema());
                raw_sql(schema).execute(&mut *tx).await?;
                Ok(tx.commit().await?)
            }
            known => known,
        }
    }

    /// The statements that make the table, for migrations of your own.
    pub fn schema(&self) -> String {
        self.sql.schema()
    }

    /// Looks for whatever stands in the way of writing to the table.
    pub(super) async fn look_at_table(&self) -> Result<(), PostgresStoreError> {
        // Or the next check would be lent the same session, whatever has changed by then.
        let are_read_only = |rows: &[PgRow]| {
            rows.first()
                .is_some_and(|it| takes_no_writes(it).unwrap_or(false))
        };
        let rows = self.rows_that(Statements::version, are_read_only).await?;
        let found = rows.first().ok_or(PostgresStoreError::Unreadable)?;
        version(found)?;
        if takes_no_writes(found)? {
            let standby = found.try_get("standby")?;
            return Err(PostgresStoreError::ReadOnly { standby });
        }
        match found.try_get("missing")? {
            Some(missing) => {
                let role = found.try_get("role")?;
                Err(PostgresStoreError::Forbidden { role, missing })
            }
            None => Ok(()),
        }
    }
}

fn takes_no_writes(found: &PgRow) -> Result<bool, sqlx::Error> {
    found.try_get("read_only")
}

fn version(found: &PgRow) -> Result<(), PostgresStoreError> {
    if !found.try_get::<bool, _>("present")? {
        return Err(PostgresStoreError::NoTable);
    }
    match found.try_get::<Option<String>, _>("version")? {
        Some(comment) if comment == VERSION => Ok(()),
        found => Err(PostgresStoreError::OtherVersion { found }),
    }
}
