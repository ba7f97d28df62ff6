//! Runs one statement on a connection of the pool, which waits for locks no longer than the layer.

use std::sync::atomic::Ordering::Relaxed;

use sqlx::{
    AssertSqlSafe, Executor as _, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    SqliteStore, SqliteStoreError,
    error::{ends_connection, is_about_a_file},
};
use crate::store::{connections::Loan, millis::millis};

pub(super) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

impl SqliteStore {
    pub(super) async fn rows(
        &self,
        query: Statement<'_>,
    ) -> Result<Vec<SqliteRow>, SqliteStoreError> {
        let mut loan = self.lend().await?;
        let rows = query.fetch_all(loan.connection()?).await;
        self.settle_loan(loan, rows).await
    }

    pub(super) async fn write(&self, query: Statement<'_>) -> Result<u64, SqliteStoreError> {
        let mut loan = self.lend().await?;
        let done = query.execute(loan.connection()?).await;
        Ok(self.settle_loan(loan, done).await?.rows_affected())
    }

    /// A connection that waits for a lock no longer than the layer does for it.
    async fn lend(&self) -> Result<Loan<'_, Sqlite>, SqliteStoreError> {
        // Before a connection is opened, which would make a new file.
        self.file.check()?;
        let mut loan = self
            .connections
            .lend()
            .await
            .map_err(|it| self.explain(it))?;
        self.file.remember();
        if self.busy_timeout.load(Relaxed) == Self::UNKNOWN {
            let ask = sqlx::query_scalar("PRAGMA busy_timeout");
            let known: i64 = ask.fetch_one(loan.connection()?).await?;
            self.busy_timeout.store(known.unsigned_abs(), Relaxed);
        }
        if let Some(bound) = self.bound() {
            wait_for_locks(loan.connection()?, bound).await?;
        }
        Ok(loan)
    }

    /// How long a connection may wait for a lock, where the pool's wait longer. Zero is no wait. A
    /// fifth of the operation's time is left for the statement itself, so that its answer finds a
    /// hearer.
    fn bound(&self) -> Option<u64> {
        let told = self.connections.told_timeout()?;
        let bound = millis(told / 5 * 4).unsigned_abs();
        (self.busy_timeout.load(Relaxed) > bound).then_some(bound)
    }

    async fn settle_loan<T>(
        &self,
        mut loan: Loan<'_, Sqlite>,
        done: Result<T, sqlx::Error>,
    ) -> Result<T, SqliteStoreError> {
        let done = match done {
            Err(error) if ends_connection(&error) => {
                return Err(self.explain(loan.condemn(error)));
            }
            done => done,
        };
        // What was written to a file that is gone was not written.
        self.file.check()?;
        // The application's connections are its own.
        if self.bound().is_some() {
            wait_for_locks(loan.connection()?, self.busy_timeout.load(Relaxed)).await?;
        }
        loan.give_back();
        Ok(done?)
    }

    /// Names the file that is in the way, where there is one.
    pub(super) fn explain(&self, error: sqlx::Error) -> SqliteStoreError {
        if !is_about_a_file(&error) {
            return error.into();
        }
        match self.file.obstacle() {
            Some((path, error)) => SqliteStoreError::InTheWay { path, error },
            None => error.into(),
        }
    }
}

async fn wait_for_locks(connection: &mut SqliteConnection, time: u64) -> Result<(), sqlx::Error> {
    let set = AssertSqlSafe(format!("PRAGMA busy_timeout = {time}"));
    connection.execute(set).await.map(drop)
}
