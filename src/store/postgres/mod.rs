//! One table in a PostgreSQL database.

mod commit;
mod error;
mod prepared;
mod row;
mod run;
mod schema;
mod statement;
mod statements;
mod sweep;
mod table;

pub use self::{commit::CommitError, error::PostgresStoreError};

pub(crate) use self::{
    row::{Answer, Row},
    statements::Statements,
};

use std::{fmt, sync::Arc, time::Duration};

use sqlx::{PgPool, Postgres};
use tokio::time;

use self::{prepared::Prepared, row::State, table::TableName};
use super::{
    Claim, DedupStore, Held, InvalidTableName, Owner, Record, Settled, SlotKey,
    connections::Connections, sweeper::Sweeper, trial::trial,
};

/// Remembers in PostgreSQL: for many replicas, and for handlers whose effect is in the same
/// database.
///
/// Takes the [`PgPool`] that the application has already, and needs one table, which
/// [`migrate`](Self::migrate) makes. Cheap to clone.
///
/// # What it promises
///
/// A claim is one upsert at READ COMMITTED, on the clock of the server. An event that was
/// acknowledged is remembered as long as the database keeps what it has committed: with
/// `synchronous_commit = off`, or after a failover to a replica that lagged, the last moments may
/// be forgotten and their events handled again. A handler runs once unless its process dies between
/// its effect and the commit. With [`Delivery::commit_in`](crate::Delivery::commit_in) effect and
/// record are one transaction, and the effect is there once per database.
///
/// # Connections
///
/// A connection on which a step broke, did not end in time, or was told that its server cannot write
/// (a standby, a read-only default, a shutdown) is closed and never used again, and with it those of
/// the pool that were idle at that moment: after a restart or a failover all of them are as dead.
/// (One whose step did not end in time while the server answered others is used again once it has
/// answered too: to connect anew would slow a slow server down.) A broken step is repeated at once on
/// a new one, to wherever the name of the host leads by then. The waits in the SQL, for a lock and
/// for a whole statement, follow [`Times::store_operation`](crate::Times::store_operation), so that
/// no server process waits for longer than anybody here does.
///
/// A handler's own statements go through the same pool, and nobody repeats those. Leave
/// `PgPoolOptions::test_before_acquire` on, as it is by default, where they matter: it costs a round
/// trip and finds a dead connection before it is lent. Set `acquire_timeout` to a second or two: its
/// default, 30 s, is longer than the provider waits.
/// The pool also asks each connection that it takes back, and without a bound: where the line of one
/// that a handler gives back swallows the question, it keeps its place in the pool until the system
/// gives it up, after minutes. The store's own steps bound that question.
///
/// # Poolers
///
/// Every step is one message and one transaction, without prepared statements (unless you want
/// [them](Self::prepared)) and without session state, so PgBouncer may pool by transaction or by
/// session (not by statement). What to set:
///
/// - sqlx sends `extra_float_digits` when it connects, which PgBouncer refuses unless it is among its
///   `ignore_startup_parameters`; or do not send it: `PgConnectOptions::extra_float_digits(None)`.
///   The same is true of everything in `PgConnectOptions::options`: set it with `ALTER ROLE`.
/// - The application's own queries are prepared statements. Before PgBouncer 1.21, or with its
///   `max_prepared_statements = 0`, they need `Query::persistent(false)` and a transaction around
///   them, or `sqlx::raw_sql`; `PgConnectOptions::statement_cache_capacity(0)` alone does not do.
/// - After a failover in which the old primary lives on read-only, a pooler goes on lending its
///   sessions with it. The store ends each that it meets (`pg_terminate_backend` of its own session),
///   and the pooler opens another, to wherever the name leads. Until the last one is gone a handler's
///   own statements can meet one too; PgBouncer's `RECONNECT` ends all of them at once.
///
/// # The pool
///
/// Every step takes one connection for one round trip, or two where the pool tests it first. A
/// handler with a transaction of its own needs a connection beside those.
///
/// # Rights
///
/// The role needs `SELECT, INSERT, UPDATE, DELETE` on the table, and `USAGE` on its schema.
/// [`check`](DedupStore::check) names what is missing.
///
/// # Growth
///
/// A row takes some 260 bytes with its indexes. Every 128th claim removes up to 1,000 rows that
/// have expired, in a task beside it; [`sweep`](Self::sweep) does the same when you say. So without
/// claims nothing is removed, and an expired row that is still there counts as free.
///
/// Every event leaves a dead row version behind for each renewal of its lease and one for its commit,
/// and another when its row is removed; a claim that is refused leaves none. Autovacuum must be on to
/// collect them: none goes by itself (HOT), because each moves the row in the index for removing.
///
/// # Operating it
///
/// - Watch the warnings `the store failed` and `the store did not answer in time` in the log,
///   the connections in use beside the size of the pool, `n_dead_tup` of the table in
///   `pg_stat_user_tables`, and transactions that stay `idle in transaction`.
/// - When the pool is too small or the database too slow, operations take longer than
///   [`Times::store_operation`](crate::Times::store_operation) and the answer is 503: nothing is
///   lost while the provider tries again. Near that point a queue for connections makes it worse,
///   because each waits until its time is nearly over: give the pool a few connections more.
/// - Have your readiness probe call [`check`](DedupStore::check).
/// - A restored backup hands over again what it does not know. Truncating the table forgets
///   everything: every event that the provider still repeats is handled again.
/// - By hand you may `SELECT`; run [`sweep`](Self::sweep) or `VACUUM`; and, to have an event handled
///   again, `DELETE` its row while nobody handles it: its fence then starts at 1 again. Never change
///   the columns of a row: what cannot be understood is an error until the row is deleted.
///
/// # Example
///
/// ```no_run
/// use suno_callback::{SigningKey, SunoCallbackLayer, store::PostgresStore};
///
/// # async fn demo(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::new(pool);
/// store.migrate().await?;
/// let layer = SunoCallbackLayer::new(SigningKey::new("the key of the settings page")?, store);
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    connections: Connections<Postgres>,
    pub(crate) sql: Arc<Statements>,
    prepared: Option<Arc<Prepared>>,
    sweeper: Sweeper,
}

impl PostgresStore {
    /// The table where nothing else is said.
    pub const DEFAULT_TABLE: &'static str = "suno_callback";

    /// What a claim says remains where the row is locked: a pause that lets the transaction end.
    const LOCKED: Duration = Duration::from_millis(500);

    /// A store in the table [`DEFAULT_TABLE`](Self::DEFAULT_TABLE), wherever the `search_path` of
    /// the connections finds it. Does nothing yet: [`migrate`](Self::migrate) comes next.
    pub fn new(pool: PgPool) -> Self {
        Self {
            connections: Connections::remote(pool),
            sql: Arc::new(Statements::new(TableName::default())),
            prepared: None,
            sweeper: Sweeper::default(),
        }
    }

    /// Uses another table: `table` or `schema.table`, in a schema that exists. With `_expires_at`
    /// behind it, it names an index too.
    ///
    /// # Errors
    ///
    /// [`InvalidTableName`] unless each of the two has 1 to 48 characters out of `a-z 0-9 _` and
    /// starts with a letter.
    pub fn table(mut self, name: &str) -> Result<Self, InvalidTableName> {
        self.sql = Arc::new(Statements::new(name.parse()?));
        Ok(match self.prepared {
            Some(_) => self.prepared(),
            None => self,
        })
    }

    /// Keeps the steps in the sessions as prepared statements, which spares the server about half of
    /// its work: for connections that lead to PostgreSQL itself.
    ///
    /// A step stays one round trip, with its bounds. In a session that is new the first one is two,
    /// and the server logs an error then, `prepared statement ... does not exist`. Five statements
    /// stay in a session until it ends.
    ///
    /// Behind a pooler that changes sessions between transactions it helps little and harms nothing:
    /// a session without the statements is given them, and when two messages in a row met different
    /// sessions, or more new sessions than twice the size of the pool came one after the other, the
    /// store sends plain text for the rest of its life. A pooler that ties a client to a session which
    /// has prepared something would tie all of them: leave it there.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use suno_callback::store::PostgresStore;
    ///
    /// # fn demo(pool: sqlx::PgPool) {
    /// let store = PostgresStore::new(pool).prepared();
    /// # let _ = store;
    /// # }
    /// ```
    pub fn prepared(mut self) -> Self {
        let connections = self.connections.pool().options().get_max_connections();
        let prepared = Prepared::new(&self.sql.table, connections);
        self.prepared = Some(Arc::new(prepared));
        self
    }

    /// What is there. The look waits for nobody.
    async fn look(&self, slot: &SlotKey) -> Result<Option<Row>, PostgresStoreError> {
        let look = self.run(|sql| sql.peek(self.within(), slot)).await?;
        Ok(look.row())
    }

    /// What a claim says whose row is locked.
    async fn locked(&self, slot: &SlotKey) -> Result<Claim, PostgresStoreError> {
        Ok(match self.look(slot).await?.map(|row| row.state) {
            Some(State::Done { record, kept: true }) => Claim::Done(record),
            Some(State::Held { left }) => in_flight(left.max(Self::LOCKED)),
            _ => in_flight(Self::LOCKED),
        })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl DedupStore for PostgresStore {
    type Error = PostgresStoreError;

    async fn peek(&self, slot: &SlotKey) -> Result<Option<Record>, PostgresStoreError> {
        Ok(match self.look(slot).await?.map(|row| row.state) {
            Some(State::Done { record, kept: true }) => Some(record),
            _ => None,
        })
    }

    async fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, PostgresStoreError> {
        self.sweep_now_and_then();
        let answer = match self
            .run(|sql| sql.claim(self.within(), slot, owner, lease))
            .await
        {
            Err(error) if error.is_locked() => return self.locked(slot).await,
            answer => answer?,
        };
        let row = match answer {
            Answer::Applied { fence, attempt, .. } => {
                return Ok(Claim::Granted(Held::new(owner, fence, attempt)));
            }
            Answer::Refused(row) => row,
        };
        Ok(match row.map(|row| row.state) {
            Some(State::Done { record, .. }) => Claim::Done(record),
            Some(State::Held { left }) => in_flight(left),
            // It was taken when the upsert came and is free by now; the next claim decides.
            Some(State::Released) | None => in_flight(Duration::ZERO),
        })
    }

    /// A row that is locked is a beat that is skipped: where it is still this holder's, that is
    /// [`Settled::Applied`] though the lease ends when it did. Nobody can take the slot while the
    /// lock lasts, and what locks it is most likely the holder's own
    /// [`commit_in`](crate::Delivery::commit_in).
    async fn renew(
        &self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> Result<Settled, PostgresStoreError> {
        let applied = match self
            .run(|sql| sql.renew(self.within(), slot, held, lease))
            .await
        {
            Err(error) if error.is_locked() => {
                let row = self.look(slot).await?;
                row.is_some_and(|row| row.is_held_by(held))
            }
            answer => matches!(answer?, Answer::Applied { .. }),
        };
        Ok(settled(applied))
    }

    async fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Result<Settled, PostgresStoreError> {
        let commit = |sql: &Statements| sql.commit(self.within(), slot, held, record, retain);
        Ok(settled(match self.run(commit).await? {
            Answer::Applied { .. } => true,
            Answer::Refused(row) => row.is_some_and(|row| row.is_done_by(held)),
        }))
    }

    async fn release(&self, slot: &SlotKey, held: &Held) -> Result<Settled, PostgresStoreError> {
        let answer = self
            .run(|sql| sql.release(self.within(), slot, held))
            .await?;
        Ok(settled(matches!(answer, Answer::Applied { .. })))
    }

    /// Looks whether the table is there and of this version, and what stands in the way of writing to
    /// it; then tries a claim and its release. Takes three times as long as an operation may, at
    /// most.
    ///
    /// # Errors
    ///
    /// [`PostgresStoreError`]: no table, or another version; a standby, or a read-only default; a
    /// right that the role lacks, the one to `DELETE` what has expired among them; no answer.
    async fn check(&self) -> Result<(), PostgresStoreError> {
        let check = async {
            self.look_at_table().await?;
            trial(self).await
        };
        let check = time::timeout(self.within().saturating_mul(3), check).await;
        check.unwrap_or(Err(PostgresStoreError::NoAnswer))
    }

    fn set_operation_timeout(&self, timeout: Duration) {
        self.connections.set_timeout(timeout);
    }
}

fn in_flight(remaining: Duration) -> Claim {
    Claim::InFlight { remaining }
}

fn settled(applied: bool) -> Settled {
    match applied {
        true => Settled::Applied,
        false => Settled::Lost,
    }
}
