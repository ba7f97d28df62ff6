//! The text of a statement, and how values get into it.

use std::time::Duration;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::{schema, table::TableName};
use crate::store::{Held, KEEP_FENCE, MAX_LEASE, Record, SlotKey, hex::Hex, millis::millis};

/// A statement and its values, each by the name that is in braces.
pub(super) struct Statement<'a> {
    sql: &'a str,
    values: Vec<(&'static str, String)>,
}

impl<'a> Statement<'a> {
    pub(super) fn new(sql: &'a str) -> Self {
        let values = Vec::with_capacity(8);
        Self { sql, values }
    }

    pub(super) fn of(sql: &'a str, slot: &SlotKey) -> Self {
        Self::new(sql).bytes("slot", slot.as_bytes())
    }

    pub(super) fn commit(
        sql: &'a str,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Self {
        let statement = Self::of(sql, slot).held(held);
        let statement = statement.bytes("record", record.as_bytes());
        statement.span("retain", retain)
    }

    /// For a step that has another way out where its row is locked, and needs time for it.
    pub(super) fn brief(self, within: Duration) -> Self {
        self.waits(within / 4, within)
    }

    /// For a step that must have the row: what is left is for the statement itself.
    pub(super) fn patient(self, within: Duration) -> Self {
        self.waits(within / 5 * 4, within)
    }

    /// The server gives up a little before the layer does, so that its answer finds a hearer and no
    /// statement goes on for nobody; and a lock before the statement, so that the error says which.
    fn waits(self, lock: Duration, within: Duration) -> Self {
        let statement = within / 10 * 9;
        self.number("lock_timeout", wait(lock))
            .number("statement_timeout", wait(statement))
    }

    pub(super) fn held(self, held: &Held) -> Self {
        let owner = held.owner();
        self.bytes("owner", owner.as_bytes())
            .number("fence", held.fence())
    }

    pub(super) fn bytes(self, name: &'static str, bytes: &[u8]) -> Self {
        self.value(name, hex(bytes))
    }

    pub(super) fn number(self, name: &'static str, number: impl Into<i64>) -> Self {
        self.value(name, number.into().to_string())
    }

    pub(super) fn span(self, name: &'static str, value: Duration) -> Self {
        self.value(name, span(value))
    }

    fn value(mut self, name: &'static str, value: String) -> Self {
        self.values.push((name, value));
        self
    }

    /// In one pass, because some of the text is long.
    pub(super) fn done(self) -> SqlStr {
        let mut text = String::with_capacity(self.sql.len() * 2);
        let mut left = self.sql;
        while let Some((before, (name, after))) = placeholder(left) {
            text.push_str(before);
            match self.values.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => text.push_str(value),
                None => text.extend(["{", name, "}"]),
            }
            left = after;
        }
        text.push_str(left);
        AssertSqlSafe(text).into_sql_str()
    }
}

/// Fills in everything that is the same for each call.
pub(super) fn complete(sql: &str, table: &TableName) -> String {
    let sql = fill(&plain(sql), "taken", plain(include_str!("sql/taken.sql")));
    let sql = fill(&sql, "sound", plain(include_str!("sql/sound.sql")));
    let sql = fill(&sql, "max_record", Record::MAX_LEN);
    let sql = fill(&sql, "max_lease", span(MAX_LEASE));
    let sql = fill(&sql, "keep_fence", span(KEEP_FENCE));
    let sql = fill(&sql, "table", table);
    let sql = fill(&sql, "index", table.index());
    fill(&sql, "version", schema::VERSION)
}

/// What is before the first name in braces, the name, and what is after it.
fn placeholder(sql: &str) -> Option<(&str, (&str, &str))> {
    let (before, rest) = sql.split_once('{')?;
    Some((before, rest.split_once('}')?))
}

/// Puts `value` in the place of `{name}`.
pub(super) fn fill(sql: &str, name: &str, value: impl ToString) -> String {
    sql.replace(&["{", name, "}"].concat(), &value.to_string())
}

/// The text without its lines of comment.
pub(super) fn plain(sql: &str) -> String {
    let lines = sql.lines().filter(|line| !line.starts_with("--"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Bytes as SQL that means the same under every setting of the session.
fn hex(bytes: &[u8]) -> String {
    format!("decode('{}', 'hex')", Hex(bytes))
}

/// A wait in milliseconds as a setting takes it: zero would mean for ever, and more than an hour is
/// nobody's.
fn wait(span: Duration) -> i64 {
    millis(span).clamp(1, 3_600_000)
}

fn span(span: Duration) -> String {
    format!("interval '1 millisecond' * {}", millis(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_hex() {
        assert_eq!(hex(b"'; --\0"), "decode('273b202d2d00', 'hex')");
    }
}
