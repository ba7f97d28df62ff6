//! Runs one step on a connection of the pool, and once more where that turns out to be dead.

use std::time::Duration;

use sqlx::{Executor as _, SqlStr, postgres::PgRow, raw_sql};

use super::{
    Answer, PostgresStore, PostgresStoreError, Statements,
    error::{ends_connection, is_read_only},
};

impl PostgresStore {
    pub(super) async fn run(
        &self,
        step: impl Fn() -> SqlStr + Send,
    ) -> Result<Answer, PostgresStoreError> {
        Answer::of(&self.rows(step).await?)
    }

    /// Repeats a step at once whose connection turned out to be dead. Whether the first try was
    /// applied does not matter: whoever holds a slot may repeat every step.
    pub(super) async fn rows(
        &self,
        step: impl Fn() -> SqlStr + Send,
    ) -> Result<Vec<PgRow>, PostgresStoreError> {
        match self.rows_once(step()).await {
            Err(error) if ends_connection(&error) => {
                if is_read_only(&error) {
                    self.leave_server().await;
                }
                Ok(self.rows_once(step()).await?)
            }
            rows => Ok(rows?),
        }
    }

    /// Ends the session with a server that cannot write, from the inside: to close a connection to a
    /// pooler closes none of the pooler's own, and it would lend the same session again.
    pub(super) async fn leave_server(&self) {
        // Where there is one, its end is an error that condemns the connection.
        let _ = self.rows_once(Statements::end_if_read_only()).await;
    }

    async fn rows_once(&self, step: SqlStr) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut loan = self.connections.lend().await?;
        match loan.connection()?.fetch_all(raw_sql(step)).await {
            Err(error) if ends_connection(&error) => Err(loan.condemn(error)),
            rows => {
                loan.give_back();
                rows
            }
        }
    }

    /// How long somebody waits for a step.
    pub(super) fn within(&self) -> Duration {
        self.connections.timeout()
    }
}
