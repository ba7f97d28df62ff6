//! Runs one step on a connection of the pool, and once more where that turns out to be dead.

use std::time::Duration;

use sqlx::{Executor as _, PgConnection, SqlStr, postgres::PgRow, raw_sql};

use super::{
    Answer, PostgresStore, PostgresStoreError, Statements,
    error::{ends_connection, is_read_only},
};

impl PostgresStore {
    pub(super) async fn run(
        &self,
        step: impl Fn(&Statements) -> SqlStr + Send + Sync,
    ) -> Result<Answer, PostgresStoreError> {
        Answer::of(&self.rows(step).await?)
    }

    /// Repeats a step at once whose connection turned out to be dead. Whether the first try was
    /// applied does not matter: whoever holds a slot may repeat every step.
    pub(super) async fn rows(
        &self,
        step: impl Fn(&Statements) -> SqlStr + Send + Sync,
    ) -> Result<Vec<PgRow>, PostgresStoreError> {
        match self.rows_once(&step).await {
            Err(error) if ends_connection(&error) => Ok(self.rows_once(&step).await?),
            rows => Ok(rows?),
        }
    }

    async fn rows_once(
        &self,
        step: &(impl Fn(&Statements) -> SqlStr + Send + Sync),
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let rows = self.on_one_connection(step).await;
        if rows.as_ref().is_err_and(is_read_only) {
            self.leave_server().await;
        }
        rows
    }

    /// Ends the session with a server that cannot write, from the inside: to close a connection to a
    /// pooler closes none of the pooler's own, and it would lend the same session again.
    pub(super) async fn leave_server(&self) {
        // Where there is one, its end is an error that condemns the connection.
        let end = |_: &Statements| Statements::end_if_read_only();
        let _ = self.on_one_connection(&end).await;
    }

    async fn on_one_connection(
        &self,
        step: &(impl Fn(&Statements) -> SqlStr + Send + Sync),
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut loan = self.connections.lend().await?;
        match self.send(loan.connection()?, step).await {
            Err(error) if ends_connection(&error) => Err(loan.condemn(error)),
            rows => {
                loan.give_back();
                rows
            }
        }
    }

    async fn send(
        &self,
        connection: &mut PgConnection,
        step: &(impl Fn(&Statements) -> SqlStr + Send + Sync),
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        match &self.prepared {
            Some(prepared) if prepared.is_used() => {
                prepared.fetch_all(connection, &self.sql, step).await
            }
            _ => connection.fetch_all(raw_sql(step(&self.sql))).await,
        }
    }

    /// How long somebody waits for a step.
    pub(super) fn within(&self) -> Duration {
        self.connections.timeout()
    }
}
