use std::sync::Arc;

use sqlx::AssertSqlSafe;

use super::VERSION;
use crate::store::table_name::{InvalidTableName, is_table_name};

/// The SQL of one table.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    pub(super) create_version: Sql,
    pub(super) create: Sql,
    pub(super) version: Sql,
    pub(super) claim: Sql,
    pub(super) look: Sql,
    pub(super) renew: Sql,
    pub(super) commit: Sql,
    pub(super) release: Sql,
    pub(super) sweep: Sql,
}

#[derive(Clone, Debug)]
pub(super) struct Sql(Arc<str>);

impl Sql {
    /// The text has nothing in it but the files beside this one and a table name that was checked.
    pub(super) fn safe(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.0))
    }
}

impl Statements {
    pub(super) fn of(table: &str) -> Result<Self, InvalidTableName> {
        // SQLite reserves names that start like its own tables.
        if !is_table_name(table) || table.starts_with("sqlite_") {
            return Err(InvalidTableName);
        }
        Ok(Self::of_valid(table))
    }

    pub(super) fn of_valid(table: &str) -> Self {
        let sql = |text: &str| {
            let text = text.replace("{sound}", include_str!("sql/sound.sql").trim());
            let text = text.replace("{now}", include_str!("sql/now.sql").trim());
            let text = text.replace("{version}", &VERSION.to_string());
            Sql(text.replace("{table}", table).into())
        };
        Self {
            create_version: sql(include_str!("sql/create_version.sql")),
            create: sql(include_str!("sql/create.sql")),
            version: sql(include_str!("sql/version.sql")),
            claim: sql(include_str!("sql/claim.sql")),
            look: sql(include_str!("sql/look.sql")),
            renew: sql(include_str!("sql/renew.sql")),
            commit: sql(include_str!("sql/commit.sql")),
            release: sql(include_str!("sql/release.sql")),
            sweep: sql(include_str!("sql/sweep.sql")),
        }
    }
}
