//! The steps as prepared statements, in sessions that keep them.
//!
//! With `PREPARE` and `EXECUTE` of SQL a step stays what it is: one message, with its bounds and a
//! look in it. What is prepared has a name of its own for each text, so a session that is lent to
//! several programs, or to several tables, cannot be mistaken.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use sha2::{Digest, Sha256};
use sqlx::{Error, Executor as _, PgConnection, SqlStr, postgres::PgRow, raw_sql};

use super::{
    error::{is_prepared_already, is_unprepared},
    statement::{complete, fill},
    statements::{CLAIM, COMMIT, LOOK, RELEASE, RENEW, Statements},
    table::TableName,
};
use crate::store::hex::Hex;

#[derive(Debug)]
pub(super) struct Prepared {
    /// The steps in a session that has everything prepared.
    known: Statements,
    /// The steps in one that has nothing, and has everything prepared then. Behind the settings, since
    /// to prepare is to look at the table, and the first look fixes how isolated a transaction is.
    first: Statements,
    /// How many messages in a row met a session that knew nothing.
    unknown: AtomicU32,
    /// How many of them say that somebody between takes the statements away.
    limit: u32,
    given_up: AtomicBool,
}

impl Prepared {
    /// For a pool of at most so many connections. Each may be new, and is so once.
    pub(super) fn new(table: &TableName, connections: u32) -> Self {
        let steps = [
            ("look", LOOK),
            ("claim", CLAIM),
            ("renew", RENEW),
            ("commit", COMMIT),
            ("release", RELEASE),
        ];
        let steps = steps.map(|(name, sql)| (sql, Step::new(name, &complete(sql, table))));
        let execute = |text: &str| {
            let step = steps.iter().find(|(sql, _)| *sql == text);
            step.map_or(String::new(), |(_, step)| step.execute.clone())
        };
        let planned = include_str!("sql/planned.sql");
        let prepare = steps.iter().map(|(_, step)| &*step.prepare);
        let first: String = std::iter::once(planned).chain(prepare).collect();
        Self {
            known: Statements::with(table.clone(), planned, execute),
            first: Statements::with(table.clone(), &first, execute),
            unknown: AtomicU32::new(0),
            limit: connections.saturating_mul(2),
            given_up: AtomicBool::new(false),
        }
    }

    pub(super) fn is_used(&self) -> bool {
        !self.given_up.load(Relaxed)
    }

    /// Runs a step in a session, and prepares everything where that knows nothing. Who finds that two
    /// messages in a row were not in one session uses plain text from then on.
    pub(super) async fn fetch_all(
        &self,
        connection: &mut PgConnection,
        plain: &Statements,
        step: &(impl Fn(&Statements) -> SqlStr + Send + Sync),
    ) -> Result<Vec<PgRow>, Error> {
        // A statement that is not there fails its message before anything was done.
        match connection.fetch_all(raw_sql(step(&self.known))).await {
            Err(error) if is_unprepared(&error) => {}
            rows => {
                if self.unknown.load(Relaxed) > 0 {
                    self.unknown.store(0, Relaxed);
                }
                return rows;
            }
        }
        if self.unknown.fetch_add(1, Relaxed) < self.limit {
            match connection.fetch_all(raw_sql(step(&self.first))).await {
                Err(error) if is_prepared_already(&error) => {}
                rows => return rows,
            }
        }
        self.given_up.store(true, Relaxed);
        connection.fetch_all(raw_sql(step(plain))).await
    }
}

/// One statement of the steps.
struct Step {
    prepare: String,
    /// With the names of its values, as the statement has them.
    execute: String,
}

impl Step {
    fn new(name: &str, sql: &str) -> Self {
        let values = [
            ("slot", "bytea"),
            ("owner", "bytea"),
            ("fence", "bigint"),
            ("record", "bytea"),
            ("lease", "interval"),
            ("retain", "interval"),
        ];
        let (mut sql, mut types, mut names) = (String::from(sql), Vec::new(), Vec::new());
        for (name, kind) in values {
            let placeholder = ["{", name, "}"].concat();
            if sql.contains(&placeholder) {
                types.push(kind);
                names.push(placeholder);
                sql = fill(&sql, name, format!("${}", types.len()));
            }
        }
        let hash = Sha256::digest(&sql);
        let hash = Hex(hash.first_chunk::<8>().map_or(&[], |first| first));
        let name = format!("suno_callback_{name}_{hash}");
        Self {
            prepare: format!("PREPARE {name} ({}) AS {sql}\n", types.join(", ")),
            execute: format!("EXECUTE {name} ({});\n", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::SlotKey;

    #[test]
    fn what_is_prepared_has_no_placeholder_and_another_name_for_another_table() {
        let tables = ["a", "b"].map(|name| name.parse::<TableName>().unwrap());
        let firsts = tables.map(|table| {
            let prepared = Prepared::new(&table, 1);
            let slot = SlotKey::from([7; 32]);
            let first = prepared.first.peek(Duration::from_secs(1), &slot);
            String::from(first.as_str())
        });
        let mut names = Vec::new();
        for text in &firsts {
            assert!(!text.contains(['{', '}']) && !text.contains("--"), "{text}");
            let lines = text
                .lines()
                .filter_map(|line| line.strip_prefix("PREPARE "));
            names.extend(lines.filter_map(|line| line.split(' ').next()));
        }
        assert_eq!(names.len(), 10);
        for (at, name) in names.iter().enumerate() {
            assert!(name.len() < 64 && !names[..at].contains(name), "{name}");
        }
    }
}
