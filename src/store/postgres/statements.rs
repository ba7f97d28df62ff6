//! The statements, and the values in them.
//!
//! Every step is one message of the simple query protocol: one round trip, one transaction of its
//! own, and no prepared statement that a pooler between would have to know about. That protocol has
//! no parameters, so values are written into the text. There are two kinds, both made from types
//! that cannot carry SQL: bytes, as hex, and whole numbers.

use std::{fmt::Write as _, time::Duration};

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::table::TableName;
use crate::store::{Held, KEEP_FENCE, MAX_LEASE, Owner, Record, SlotKey, millis::millis};

/// The statements for one table, complete but for the values of a call.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) table: TableName,
    peek: String,
    claim: String,
    renew: String,
    commit: String,
    commit_in: String,
    release: String,
    sweep: String,
}

impl Statements {
    /// How long a claim or a renewal waits for a row that is locked.
    const SHORT_LOCK: Duration = Duration::from_millis(250);

    /// How long a commit or a release does: below the layer's default for one operation.
    const LONG_LOCK: Duration = Duration::from_millis(900);

    /// How long a handler's transaction may wait, or do nothing, once it has committed a record.
    const TRANSACTION: Duration = Duration::from_secs(5);

    pub(super) fn new(table: TableName) -> Self {
        let look = &plain(include_str!("sql/look.sql"));
        let step = |lock: Duration, step: &str| {
            let begin = fill(include_str!("sql/short.sql"), "lock_timeout", millis(lock));
            complete(&[&begin, step, look].concat(), &table)
        };
        Self {
            peek: complete(look, &table),
            claim: step(Self::SHORT_LOCK, include_str!("sql/claim.sql")),
            renew: step(Self::SHORT_LOCK, include_str!("sql/renew.sql")),
            commit: step(Self::LONG_LOCK, include_str!("sql/commit.sql")),
            commit_in: complete(&[include_str!("sql/commit.sql"), look].concat(), &table),
            release: step(Self::LONG_LOCK, include_str!("sql/release.sql")),
            sweep: complete(include_str!("sql/sweep.sql"), &table),
            table,
        }
    }

    pub(super) fn peek(&self, slot: &SlotKey) -> SqlStr {
        Statement::of(&self.peek, slot).done()
    }

    pub(super) fn claim(&self, slot: &SlotKey, owner: Owner, lease: Duration) -> SqlStr {
        let statement = Statement::of(&self.claim, slot).bytes("owner", owner.as_bytes());
        statement.span("lease", lease).done()
    }

    pub(super) fn renew(&self, slot: &SlotKey, held: &Held, lease: Duration) -> SqlStr {
        let statement = Statement::of(&self.renew, slot).held(held);
        statement.span("lease", lease).done()
    }

    pub(super) fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> SqlStr {
        Statement::commit(&self.commit, slot, held, record, retain)
    }

    pub(super) fn commit_in(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> SqlStr {
        Statement::commit(&self.commit_in, slot, held, record, retain)
    }

    pub(super) fn release(&self, slot: &SlotKey, held: &Held) -> SqlStr {
        Statement::of(&self.release, slot).held(held).done()
    }

    pub(super) fn sweep(&self, limit: u32) -> SqlStr {
        Statement(self.sweep.clone()).number("limit", limit).done()
    }

    /// Bounds for the transaction in which a record is committed.
    pub(super) fn bounds() -> SqlStr {
        let bounds = Statement(plain(include_str!("sql/bounds.sql")));
        bounds.number("bound", millis(Self::TRANSACTION)).done()
    }

    /// Fails, and with it the transaction: what follows in it is refused, and it cannot be
    /// committed. The database logs the text.
    pub(super) fn abort() -> SqlStr {
        "SELECT 'suno-callback: the claim is not held, so this transaction must not be committed'::integer"
            .into_sql_str()
    }

    pub(super) fn version(&self) -> SqlStr {
        AssertSqlSafe(complete(include_str!("sql/version.sql"), &self.table)).into_sql_str()
    }

    pub(super) fn schema(&self) -> String {
        complete(include_str!("sql/schema.sql"), &self.table)
    }
}

/// Fills in everything that is the same for each call.
fn complete(sql: &str, table: &TableName) -> String {
    let sql = fill(&plain(sql), "taken", plain(include_str!("sql/taken.sql")));
    let sql = fill(&sql, "sound", plain(include_str!("sql/sound.sql")));
    let sql = fill(&sql, "max_record", Record::MAX_LEN);
    let sql = fill(&sql, "max_lease", span(MAX_LEASE));
    let sql = fill(&sql, "keep_fence", span(KEEP_FENCE));
    let sql = fill(&sql, "table", table);
    let sql = fill(&sql, "index", table.index());
    fill(&sql, "version", super::schema::VERSION)
}

/// A statement whose values are being filled in.
struct Statement(String);

impl Statement {
    fn of(sql: &str, slot: &SlotKey) -> Self {
        Self(sql.into()).bytes("slot", slot.as_bytes())
    }

    fn commit(sql: &str, slot: &SlotKey, held: &Held, record: &Record, retain: Duration) -> SqlStr {
        let statement = Self::of(sql, slot).held(held);
        let statement = statement.bytes("record", record.as_bytes());
        statement.span("retain", retain).done()
    }

    fn held(self, held: &Held) -> Self {
        let owner = held.owner();
        self.bytes("owner", owner.as_bytes())
            .number("fence", held.fence())
    }

    fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        Self(fill(&self.0, name, hex(bytes)))
    }

    fn number(self, name: &str, number: impl Into<i64>) -> Self {
        Self(fill(&self.0, name, number.into()))
    }

    fn span(self, name: &str, value: Duration) -> Self {
        Self(fill(&self.0, name, span(value)))
    }

    fn done(self) -> SqlStr {
        AssertSqlSafe(self.0).into_sql_str()
    }
}

/// Puts `value` in the place of `{name}`.
fn fill(sql: &str, name: &str, value: impl ToString) -> String {
    sql.replace(&["{", name, "}"].concat(), &value.to_string())
}

/// The text without its lines of comment.
fn plain(sql: &str) -> String {
    let lines = sql.lines().filter(|line| !line.starts_with("--"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Bytes as SQL that means the same under every setting of the session.
fn hex(bytes: &[u8]) -> String {
    let mut sql = String::from("decode('");
    for byte in bytes {
        let _ = write!(sql, "{byte:02x}");
    }
    sql.push_str("', 'hex')");
    sql
}

fn span(span: Duration) -> String {
    format!("interval '1 millisecond' * {}", millis(span))
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
            sql.peek(&slot),
            sql.claim(&slot, owner, second),
            sql.renew(&slot, &held, second),
            sql.commit(&slot, &held, &Record::EMPTY, Duration::MAX),
            sql.commit_in(&slot, &held, &Record::EMPTY, Duration::MAX),
            sql.release(&slot, &held),
            sql.sweep(5),
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
    fn bytes_are_hex() {
        assert_eq!(hex(b"'; --\0"), "decode('273b202d2d00', 'hex')");
    }
}
