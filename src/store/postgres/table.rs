use std::{fmt, str::FromStr};

use crate::store::table_name::{InvalidTableName, is_table_name};

/// The name of a table, with or without a schema: `suno_callback`, `callbacks.slots`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableName {
    schema: Option<String>,
    table: String,
}

impl TableName {
    /// The name of the index, which is in the schema of its table.
    pub(crate) fn index(&self) -> String {
        format!("\"{}_expires_at\"", self.table)
    }
}

impl Default for TableName {
    fn default() -> Self {
        Self {
            schema: None,
            table: super::PostgresStore::DEFAULT_TABLE.into(),
        }
    }
}

impl FromStr for TableName {
    type Err = InvalidTableName;

    fn from_str(name: &str) -> Result<Self, InvalidTableName> {
        let (schema, table) = match name.split_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (None, name),
        };
        if !schema.is_none_or(is_table_name) || !is_table_name(table) {
            return Err(InvalidTableName);
        }
        Ok(Self {
            schema: schema.map(Into::into),
            table: table.into(),
        })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "\"{schema}\".")?;
        }
        write!(f, "\"{}\"", self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_identifiers() {
        for (name, sql) in [
            ("slots", r#""slots""#),
            ("s_1", r#""s_1""#),
            ("a.b", r#""a"."b""#),
        ] {
            assert_eq!(name.parse::<TableName>().unwrap().to_string(), sql);
        }
        let long = "a".repeat(49);
        for name in [
            "", "_a", ".", "a.", ".a", "a.b.c", "1a", "A", "a b", "a\"", "a;", "ä", &long,
        ] {
            assert_eq!(name.parse::<TableName>(), Err(InvalidTableName), "{name:?}");
        }
    }
}
