//! One table in an SQLite database.

mod error;
mod file;
mod patience;
mod row;
mod run;
mod setup;
mod statements;
mod sweep;

pub use self::error::SqliteStoreError;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use sqlx::{Row, Sqlite, SqlitePool};
use tokio::time;

use self::{
    file::DatabaseFile,
    patience::patiently,
    row::State,
    run::Statement,
    statements::{Sql, Statements},
};
use super::{
    Claim, DedupStore, Held, InvalidTableName, KEEP_FENCE, MAX_LEASE, Owner, Record, Settled,
    SlotKey, connections::Connections, millis::millis, sweeper::Sweeper, trial::trial,
};

/// The version of the table.
const VERSION: i64 = 1;

/// Remembers in a table of an SQLite database: for one host, and it survives restarts.
///
/// Takes the pool that the application has; [`connect_options`](Self::connect_options) says how to
/// make one. Several processes on one host can share the file; a network file system cannot carry
/// it. Cheap to clone.
///
/// Every operation is one statement that SQLite runs whole or not at all. Leases run on the host's
/// clock as SQLite reads it, in milliseconds, so all processes of the host agree.
///
/// # Durability
///
/// With `synchronous=FULL`, which [`migrate`](Self::migrate) asks for, what was acknowledged
/// survives a killed process; and SQLite says of it that it survives a power cut too, where the disk
/// keeps its word (<https://sqlite.org/pragma.html#pragma_synchronous>).
///
/// # Locking
///
/// SQLite has one writer at a time. A statement that finds the database locked waits for four fifths
/// of [`Times::store_operation`](crate::Times::store_operation), or for the pool's `busy_timeout`
/// where that is shorter ([`connect_options`](Self::connect_options) sets 800 ms), and then fails
/// with [`SqliteStoreError::Database`]; the layer tries again. The application's own write
/// transactions on the same file make callbacks wait: keep them short, or give this store a file of
/// its own.
///
/// # The file
///
/// Whoever deletes the file, or puts another in its place, while a process has it open, takes from
/// that process what it remembers; SQLite itself would go on and write into nothing. This store
/// looks at every operation: it says [`SqliteStoreError::Replaced`], warns once, and callbacks are
/// answered with 503, until the file is back or the process starts again. A connection on which an
/// operation failed for its file's sake, or did not end in time, is closed and replaced.
///
/// # Growth
///
/// A row takes some 200 bytes with its index. What has ended is removed by every 64th claim, 256
/// rows at most, in a task of its own; [`sweep`](Self::sweep) does the same when you ask. So
/// without claims nothing is removed, and an ended row that is still there means nothing: it counts
/// as free. The file keeps its size and its room is used again; only a `VACUUM` shrinks it.
///
/// # Operating it
///
/// - Watch the warnings `the store failed` and `the store did not answer in time` in the log,
///   the free space of the disk, and the size of the `-wal` file: one that only grows means a
///   reader that never ends.
/// - A claim and its commit wait for the disk twice and only one writer is served at a time, so the
///   disk says how many events a second there can be; `cargo bench -p benches --bench stores` of the
///   repository measures yours. Beyond that the answer is 503, nothing is lost while the provider
///   tries again, and it is time for another store.
/// - Back it up with `VACUUM INTO` or `.backup`. A copy of the file alone, without its `-wal`, has
///   forgotten the last events; and a restored backup hands over again what it does not know.
/// - By hand you may `SELECT`; run [`sweep`](Self::sweep); and, to have an event handled again,
///   `DELETE` its row while nobody handles it: its fence then starts at 1 again. Never change the
///   columns of a row: what cannot be understood is an error until the row is deleted.
///
/// # Example
///
/// ```no_run
/// use sqlx::sqlite::SqlitePoolOptions;
/// use suno_callback::store::SqliteStore;
///
/// # async fn open() -> Result<SqliteStore, Box<dyn std::error::Error>> {
/// let options = SqliteStore::connect_options("callbacks.db");
/// let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
/// let store = SqliteStore::new(pool);
/// store.migrate().await?;
/// # Ok(store)
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    connections: Connections<Sqlite>,
    file: Arc<DatabaseFile>,
    /// The `busy_timeout` of the pool's connections, in milliseconds, once it is known.
    busy_timeout: Arc<AtomicU64>,
    statements: Statements,
    sweeper: Sweeper,
}

impl SqliteStore {
    /// The table where nothing else is said.
    pub const DEFAULT_TABLE: &'static str = "suno_callback";

    const UNKNOWN: u64 = u64::MAX;

    /// A store in the table [`DEFAULT_TABLE`](Self::DEFAULT_TABLE) of the pool's database. Does
    /// nothing yet: [`migrate`](Self::migrate) comes next.
    pub fn new(pool: SqlitePool) -> Self {
        Self {
            file: Arc::new(DatabaseFile::new(pool.connect_options().get_filename())),
            connections: Connections::local(pool),
            busy_timeout: Arc::new(AtomicU64::new(Self::UNKNOWN)),
            statements: Statements::of_valid(Self::DEFAULT_TABLE),
            sweeper: Sweeper::default(),
        }
    }

    /// Uses another table. Its name, with `_version` behind it, is that of a second one, and with
    /// `_expires_at` of an index.
    ///
    /// # Errors
    ///
    /// [`InvalidTableName`] for anything but 1 to 48 characters out of `a-z 0-9 _` that start with
    /// a letter.
    pub fn table(mut self, name: &str) -> Result<Self, InvalidTableName> {
        self.statements = Statements::of(name)?;
        Ok(self)
    }

    async fn try_claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Result<Option<Held>, SqliteStoreError> {
        let claim = sqlx::query(self.statements.claim.safe())
            .bind(&slot.as_bytes()[..])
            .bind(&owner.as_bytes()[..])
            .bind(millis(lease))
            .bind(millis(KEEP_FENCE))
            .bind(millis(MAX_LEASE));
        // To its end, not to the first row: that comes before the write is on disk.
        let rows = self.rows(claim).await?;
        let granted = rows.first().map(|row| {
            let (fence, attempt) = (row.try_get(0)?, row.try_get(1)?);
            Ok(Held::new(owner, fence, attempt))
        });
        granted.transpose()
    }

    async fn look(&self, slot: &SlotKey) -> Result<Option<State>, SqliteStoreError> {
        let look = sqlx::query(self.statements.look.safe()).bind(&slot.as_bytes()[..]);
        let rows = self.rows(look).await?;
        rows.first().map(State::of).transpose()
    }

    fn settling<'q>(&self, sql: &Sql, slot: &'q SlotKey, held: &Held) -> Statement<'q> {
        sqlx::query(sql.safe())
            .bind(&slot.as_bytes()[..])
            .bind(held.owner().as_bytes().to_vec())
            .bind(held.fence())
    }

    async fn settle(
        &self,
        slot: &SlotKey,
        settling: Statement<'_>,
    ) -> Result<Settled, SqliteStoreError> {
        if self.write(settling).await? > 0 {
            return Ok(Settled::Applied);
        }
        // Nothing was changed; what is there may be somebody else's, or nobody's that we know.
        self.look(slot).await?;
        Ok(Settled::Lost)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl DedupStore for SqliteStore {
    type Error = SqliteStoreError;

    async fn peek(&self, slot: &SlotKey) -> Result<Option<Record>, SqliteStoreError> {
        match self.look(slot).await? {
            Some(State::Done(record)) => Ok(Some(record)),
            _ => Ok(None),
        }
    }

    async fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, SqliteStoreError> {
        for _ in 0..3 {
            if let Some(held) = self.try_claim(slot, owner, lease).await? {
                self.sweep_now_and_then();
                return Ok(Claim::Granted(held));
            }
            match self.look(slot).await? {
                Some(State::Done(record)) => return Ok(Claim::Done(record)),
                Some(State::Held(remaining)) if !remaining.is_zero() => {
                    return Ok(Claim::InFlight { remaining });
                }
                // It became free between the two statements.
                _ => {}
            }
        }
        Ok(Claim::InFlight {
            remaining: Duration::ZERO,
        })
    }

    async fn renew(
        &self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> Result<Settled, SqliteStoreError> {
        let renew = self.settling(&self.statements.renew, slot, held);
        let renew = renew.bind(millis(lease)).bind(millis(KEEP_FENCE));
        self.settle(slot, renew).await
    }

    async fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Result<Settled, SqliteStoreError> {
        let commit = self.settling(&self.statements.commit, slot, held);
        let commit = commit.bind(record.as_bytes()).bind(millis(retain));
        self.settle(slot, commit).await
    }

    async fn release(&self, slot: &SlotKey, held: &Held) -> Result<Settled, SqliteStoreError> {
        let release = self.settling(&self.statements.release, slot, held);
        self.settle(slot, release.bind(millis(KEEP_FENCE))).await
    }

    /// Looks at the file, the table and its version, writing to it; then tries a claim and its
    /// release. Waits for others that write, as the layer does at a claim. Takes three times as long as
    /// an operation may, at most.
    ///
    /// # Errors
    ///
    /// [`SqliteStoreError`]: the file that is in the way, a database that was replaced, no table, or
    /// one of another version, no answer.
    async fn check(&self) -> Result<(), SqliteStoreError> {
        let operation = self.connections.timeout();
        let check = || async {
            self.check_version().await?;
            trial(self).await
        };
        // The last try has as long as any operation, and then says that the file is locked.
        let check = patiently(operation.saturating_mul(2), check);
        let check = time::timeout(operation.saturating_mul(3), check).await;
        check.unwrap_or(Err(SqliteStoreError::NoAnswer))
    }

    fn set_operation_timeout(&self, timeout: Duration) {
        self.connections.set_timeout(timeout);
    }
}
