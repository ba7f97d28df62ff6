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
        self.rows_that(step, |_| false).await
    }

    /// The same, where rows may tell that their server takes no writes.
    pub(super) async fn rows_that(
        &self,
        step: impl Fn(&Statements) -> SqlStr + Send + Sync,
        are_read_only: fn(&[PgRow]) -> bool,
    ) -> Result<Vec<PgRow>, PostgresStoreError> {
        match self.rows_once(&step, are_read_only).await {
            Err(error) if ends_connection(&error) => {
                Ok(self.rows_once(&step, are_read_only).await?)
            }
            rows => Ok(rows?),
        }
    }

    async fn rows_once(
        &self,
        step: &(impl Fn(&Statements) -> SqlStr + Send + Sync),
        are_read_only: fn(&[PgRow]) -> bool,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut loan = self.connections.lend().await?;
        let connection = loan.connection()?;
        let rows = self.send(connection, step).await;
        let end = match &rows {
            Ok(rows) if are_read_only(rows) => self.leave_server(connection).await,
            Err(error) if is_read_only(error) => self.leave_server(connection).await,
            _ => Ok(()),
        };
        match (rows, end) {
            (Err(error), _) if ends_connection(&error) => Err(loan.condemn(error)),
            (rows, Err(end)) if ends_connection(&end) => {
                loan.condemn(end);
                rows
            }
            (rows, _) => {
                loan.give_back();
                rows
            }
        }
    }

    /// Ends the session with a server that cannot write, from the inside: to close a connection to a
    /// pooler closes none of the pooler's own, and it would lend the same session again. On the
    /// connection that met it: while one is on its way back to the pool, another would be with a
    /// session of its own, or with a new one that can write.
    async fn leave_server(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let end = |_: &Statements| Statements::end_if_read_only();
        self.send(connection, &end).await.map(drop)
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
