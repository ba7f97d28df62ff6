use std::time::Duration;

use sqlx::{Row, sqlite::SqliteRow};

use super::SqliteStoreError;
use crate::store::Record;

/// What a row says.
pub(super) enum State {
    Free,
    Held(Duration),
    Done(Record),
}

impl State {
    pub(super) fn of(row: &SqliteRow) -> Result<Self, SqliteStoreError> {
        let sound: bool = row.try_get(0)?;
        if !sound {
            return Err(SqliteStoreError::Unreadable);
        }
        let (state, left, kept): (i64, i64, bool) =
            (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        match state {
            1 => Ok(Self::Held(Duration::from_millis(left.unsigned_abs()))),
            2 if kept => {
                let record = Record::try_from(row.try_get::<&[u8], _>(4)?);
                record
                    .map(Self::Done)
                    .map_err(|_| SqliteStoreError::Unreadable)
            }
            _ => Ok(Self::Free),
        }
    }
}
