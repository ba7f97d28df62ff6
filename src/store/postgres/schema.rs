//! The table: made once, and checked before use.

use sqlx::{AssertSqlSafe, PgConnection, Row as _, raw_sql};

use super::{PostgresStore, error::PostgresStoreError};

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
        let mut tx = self.pool.begin().await?;
        let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
        raw_sql(AssertSqlSafe(lock)).execute(&mut *tx).await?;
        match self.checked(&mut tx).await {
            Err(PostgresStoreError::NoTable) => {
                let schema = AssertSqlSafe(self.sql.schema());
                raw_sql(schema).execute(&mut *tx).await?;
                Ok(tx.commit().await?)
            }
            checked => checked,
        }
    }

    /// The statements that make the table, for migrations of your own.
    pub fn schema(&self) -> String {
        self.sql.schema()
    }

    pub(super) async fn checked(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), PostgresStoreError> {
        let row = raw_sql(self.sql.version()).fetch_one(connection).await?;
        if !row.try_get::<bool, _>("present")? {
            return Err(PostgresStoreError::NoTable);
        }
        match row.try_get::<Option<String>, _>("version")? {
            Some(comment) if comment == VERSION => Ok(()),
            found => Err(PostgresStoreError::OtherVersion { found }),
        }
    }
}
