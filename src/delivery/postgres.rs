//! The handler's effect and the record in one transaction of the handler's own.

use std::sync::Arc;

use sqlx::{Executor as _, Postgres, Transaction, raw_sql};

use crate::{
    delivery::Delivery,
    store::{
        DedupStore, Held,
        postgres::{Answer, CommitError, PostgresStore, PostgresStoreError, Row, Statements},
    },
};

/// Where the record of a delivery is to be written, for handlers that commit it themselves.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Statements>);

impl Ledger {
    /// The ledger of a store that is a [`PostgresStore`], or stands around one and says so.
    pub(crate) fn of(store: &impl DedupStore) -> Option<Self> {
        let store = store.as_any().downcast_ref::<PostgresStore>()?;
        Some(Self(Arc::clone(&store.sql)))
    }
}

impl Delivery {
    /// Marks the event done in the handler's own transaction, so that its effect and the record
    /// become visible together or not at all: once per database.
    ///
    /// Call it once, and commit the transaction yourself when it says `Ok`. It is best at the end of
    /// the transaction, because it locks the slot's row until then: other replicas see the event
    /// in flight, and the heartbeat pauses. At REPEATABLE READ or above it must come first, or the
    /// last heartbeat makes it fail as a serialization failure.
    ///
    /// For this one transaction it sets `lock_timeout` and `idle_in_transaction_session_timeout`
    /// to 5 s, where they are not shorter already: a process that is paused here loses its
    /// connection, and with it the lock, before the provider has used up its tries.
    ///
    /// # Behavior
    ///
    /// - The layer's own commit afterwards finds the slot done by this very claim, and is content.
    /// - A handler that says `Ok` without having committed its transaction is recorded as done.
    /// - A transaction in which this failed cannot be committed, not even in part. Where the claim is
    ///   not held, its connection is ended for that, which the application's pool notices.
    /// - The transaction must be on the database of the layer's store.
    /// - Given a transaction within a transaction (`tx.begin()`), it makes what the inner one has
    ///   done so far part of the outer one: rolled back alone, that would leave an effect without
    ///   its record. A savepoint that was made by hand is refused.
    ///
    /// # Errors
    ///
    /// [`CommitError`]. Return it with `?`: the transaction rolls back when it is dropped.
    ///
    /// # Cancellation safety
    ///
    /// Dropped, it leaves the transaction in one of two states; drop the transaction too.
    ///
    /// # Example
    ///
    /// ```
    /// use sqlx::PgPool;
    /// use suno_callback::{Delivery, VoiceEvent};
    ///
    /// async fn on_voice(
    ///     db: &PgPool,
    ///     event: &VoiceEvent,
    ///     delivery: &Delivery,
    /// ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///     let mut tx = db.begin().await?;
    ///     sqlx::query("UPDATE voices SET ready = true WHERE task_id = $1")
    ///         .bind(event.task_id().as_str())
    ///         .execute(&mut *tx)
    ///         .await?;
    ///     delivery.commit_in(&mut tx).await?;
    ///     Ok(tx.commit().await?)
    /// }
    /// # let _ = on_voice;
    /// ```
    pub async fn commit_in(&self, tx: &mut Transaction<'_, Postgres>) -> Result<(), CommitError> {
        let ledger = self.0.ledger.as_ref().ok_or(CommitError::NoLedger)?;
        commit_in(&ledger.0, tx, self).await
    }
}

impl PostgresStore {
    /// The same as [`Delivery::commit_in`], for a layer whose store is a type of your own around
    /// this one that does not forward [`as_any`](DedupStore::as_any).
    ///
    /// # Errors
    ///
    /// [`CommitError`].
    pub async fn commit_in(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        delivery: &Delivery,
    ) -> Result<(), CommitError> {
        commit_in(&self.sql, tx, delivery).await
    }
}

async fn commit_in(
    sql: &Statements,
    tx: &mut Transaction<'_, Postgres>,
    delivery: &Delivery,
) -> Result<(), CommitError> {
    let why = match write(sql, tx, delivery).await {
        Ok(Answer::Applied { nested: false, .. }) => return Ok(()),
        Ok(Answer::Applied { nested: true, .. }) => match tx.execute(Statements::unnest()).await {
            Ok(_) => return Ok(()),
            Err(_) => CommitError::Savepoint,
        },
        Ok(Answer::Refused(row)) => refusal(row, delivery.held()),
        Err(error) if error.is_without_table() => CommitError::OtherDatabase,
        // The database has ended the transaction, so far as there is no savepoint to return to.
        Err(error) if tx.execute(Statements::first_savepoint()).await.is_err() => {
            return Err(error.into());
        }
        Err(error) => error.into(),
    };
    // It fails by intention; should the connection fail instead, that ends the transaction too.
    let _ = tx.execute(raw_sql(Statements::abort())).await;
    Err(why)
}

async fn write(
    sql: &Statements,
    tx: &mut Transaction<'_, Postgres>,
    delivery: &Delivery,
) -> Result<Answer, PostgresStoreError> {
    tx.execute(raw_sql(Statements::bounds())).await?;
    let (held, record) = (delivery.held(), delivery.record());
    let commit = sql.commit_in(delivery.slot(), held, record, delivery.retain());
    Answer::of(&tx.fetch_all(raw_sql(commit)).await?)
}

fn refusal(row: Option<Row>, held: &Held) -> CommitError {
    match row {
        Some(row) if row.is_done_by(held) => CommitError::Repeated,
        Some(_) => CommitError::Lost,
        None => CommitError::OtherDatabase,
    }
}
