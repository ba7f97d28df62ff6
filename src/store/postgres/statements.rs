//! The statements, and the values in them.
//!
//! Every step is one message of the simple query protocol: one round trip, one transaction of its
//! own, and no state of a session that a pooler between would have to know about. That protocol has
//! no parameters, so values are written into the text. There are two kinds, both made from types
//! that cannot carry SQL: bytes, as hex, and whole numbers.
//!
//! About half of what a step costs the server is to read and to plan it, which [`Prepared`] spares it
//! where an application wants that. The protocol's own prepared statements are no way: they come one
//! to a message, without the bounds before them.
//!
//! [`Prepared`]: super::prepared::Prepared

use std::time::Duration;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::{
    statement::{Statement, complete, plain},
    table::TableName,
};
use crate::store::{Held, Owner, Record, SlotKey, millis::millis};

pub(super) const LOOK: &str = include_str!("sql/look.sql");
pub(super) const CLAIM: &str = include_str!("sql/claim.sql");
pub(super) const RENEW: &str = include_str!("sql/renew.sql");
pub(super) const COMMIT: &str = include_str!("sql/commit.sql");
pub(super) const RELEASE: &str = include_str!("sql/release.sql");

/// The statements for one table, complete but for the values of a call.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) table: TableName,
    peek: String,
    claim: String,
    renew: String,
    commit: String,
    commit_in: String,
    release: String,
    sweep: String,
}

impl Statements {
    /// How long a handler's transaction may wait, or do nothing, once it has committed a record.
    const TRANSACTION: Duration = Duration::from_secs(5);

    pub(crate) fn new(table: TableName) -> Self {
        Self::with(table, "", str::to_owned)
    }

    /// With more `settings` of a transaction, and something else in the place of each statement that
    /// changes or shows a slot.
    pub(super) fn with(table: TableName, settings: &str, write: impl Fn(&str) -> String) -> Self {
        let short = include_str!("sql/short.sql");
        let look = write(LOOK);
        let step = |step: &str| complete(&[short, settings, step, &look].concat(), &table);
        Self {
            peek: step(""),
            claim: step(&write(CLAIM)),
            renew: step(&write(RENEW)),
            commit: step(&write(COMMIT)),
            commit_in: complete(&[COMMIT, LOOK].concat(), &table),
            release: step(&write(RELEASE)),
            sweep: complete(&[short, include_str!("sql/sweep.sql")].concat(), &table),
            table,
        }
    }

    pub(crate) fn peek(&self, within: Duration, slot: &SlotKey) -> SqlStr {
        Statement::of(&self.peek, slot).brief(within).done()
    }

    pub(crate) fn claim(
        &self,
        within: Duration,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> SqlStr {
        let statement = Statement::of(&self.claim, slot).bytes("owner", owner.as_bytes());
        statement.span("lease", lease).brief(within).done()
    }

    pub(crate) fn renew(
        &self,
        within: Duration,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> SqlStr {
        let statement = Statement::of(&self.renew, slot).held(held);
        statement.span("lease", lease).brief(within).done()
    }

    pub(crate) fn commit(
        &self,
        within: Duration,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> SqlStr {
        let statement = Statement::commit(&self.commit, slot, held, record, retain);
        statement.patient(within).done()
    }

    pub(crate) fn commit_in(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> SqlStr {
        Statement::commit(&self.commit_in, slot, held, record, retain).done()
    }

    pub(crate) fn release(&self, within: Duration, slot: &SlotKey, held: &Held) -> SqlStr {
        let statement = Statement::of(&self.release, slot).held(held);
        statement.patient(within).done()
    }

    pub(crate) fn sweep(&self, within: Duration, limit: u32) -> SqlStr {
        let statement = Statement::new(&self.sweep).number("limit", limit);
        statement.brief(within).done()
    }

    /// Bounds for the transaction in which a record is committed.
    pub(crate) fn bounds() -> SqlStr {
        let bounds = plain(include_str!("sql/bounds.sql"));
        let bounds = Statement::new(&bounds);
        bounds.number("bound", millis(Self::TRANSACTION)).done()
    }

    /// Ends the transaction, whatever state it is in, and then its connection, so that neither a
    /// savepoint nor a later statement can save a part of it. Should that be forbidden, it leaves a
    /// transaction that has failed. The database logs the text.
    pub(crate) fn abort() -> SqlStr {
        "ROLLBACK; SELECT pg_terminate_backend(pg_backend_pid()); BEGIN; \
         SELECT 'suno-callback: the record was not committed, so its transaction must not be'::integer"
            .into_sql_str()
    }

    /// Ends the session where its server takes no writes. The database logs it.
    pub(crate) fn end_if_read_only() -> SqlStr {
        "SELECT pg_terminate_backend(pg_backend_pid()) \
         WHERE current_setting('transaction_read_only') = 'on'"
            .into_sql_str()
    }

    /// Makes what was done in sqlx's savepoints part of the transaction around them, and begins them
    /// again, because sqlx will end those that it counts. It counts some of these eight, at most; a
    /// savepoint too many ends with the transaction.
    pub(crate) fn unnest() -> SqlStr {
        "RELEASE SAVEPOINT _sqlx_savepoint_1; \
         SAVEPOINT _sqlx_savepoint_1; SAVEPOINT _sqlx_savepoint_2; \
         SAVEPOINT _sqlx_savepoint_3; SAVEPOINT _sqlx_savepoint_4; \
         SAVEPOINT _sqlx_savepoint_5; SAVEPOINT _sqlx_savepoint_6; \
         SAVEPOINT _sqlx_savepoint_7; SAVEPOINT _sqlx_savepoint_8"
            .into_sql_str()
    }

    /// Succeeds only where sqlx has begun a transaction within another.
    pub(crate) fn first_savepoint() -> SqlStr {
        "ROLLBACK TO SAVEPOINT _sqlx_savepoint_1".into_sql_str()
    }

    pub(crate) fn version(&self) -> SqlStr {
        AssertSqlSafe(complete(include_str!("sql/version.sql"), &self.table)).into_sql_str()
    }

    pub(crate) fn schema(&self) -> String {
        complete(include_str!("sql/schema.sql"), &self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left_in_any_statement() {
        let sql = Statements::new(TableName::default());
        let (slot, owner) = (SlotKey::from([7; 32]), Owner::from([1; 16]));
        let (held, second) = (Held::new(owner, 1, 1), Duration::from_secs(1));
        let statements = [
            sql.peek(second, &slot),
            sql.claim(second, &slot, owner, second),
            sql.renew(second, &slot, &held, second),
            sql.commit(second, &slot, &held, &Record::EMPTY, Duration::MAX),
            sql.commit_in(&slot, &held, &Record::EMPTY, Duration::MAX),
            sql.release(second, &slot, &held),
            sql.sweep(second, 5),
            sql.version(),
            Statements::bounds(),
        ];
        for statement in statements {
            let text = statement.as_str();
            assert!(!text.contains(['{', '}']) && !text.contains("--"), "{text}");
        }
        assert!(!sql.schema().contains(['{', '}']));
    }

    #[test]
    fn every_wait_in_the_sql_ends_before_the_operation_does() {
        let sql = Statements::new(TableName::default());
        let (slot, held) = (
            SlotKey::from([7; 32]),
            Held::new(Owner::from([1; 16]), 1, 1),
        );
        for within in [2, 10, 250, 500, 1000, 60_000].map(Duration::from_millis) {
            for step in [
                sql.peek(within, &slot),
                sql.claim(within, &slot, held.owner(), within),
                sql.renew(within, &slot, &held, within),
                sql.commit(within, &slot, &held, &Record::EMPTY, within),
                sql.release(within, &slot, &held),
                sql.sweep(within, 5),
            ] {
                let waits = step
                    .as_str()
                    .lines()
                    .filter(|line| line.contains("_timeout = "));
                let waits: Vec<u128> = waits
                    .map(|line| line.rsplit(' ').next().unwrap())
                    .map(|wait| wait.trim_end_matches(';').parse().unwrap())
                    .collect();
                let [lock, statement] = *waits else {
                    panic!("two waits")
                };
                assert!(0 < lock && lock <= statement && statement < within.as_millis());
            }
        }
        let longest = sql.peek(Duration::MAX, &slot);
        assert!(longest.as_str().contains("statement_timeout = 3600000;"));
    }
}
