//! What a statement says about its slot.

use std::time::Duration;

use sqlx::{Row as _, postgres::PgRow};

use super::error::PostgresStoreError;
use crate::store::{Held, Owner, Record};

/// One slot, and whether the statement that returned it has changed it.
pub(super) struct Row {
    pub(super) applied: bool,
    pub(super) held: Held,
    pub(super) state: State,
}

pub(super) enum State {
    Released,
    Held { left: Duration },
    Done { record: Record, kept: bool },
}

impl Row {
    /// The row of a step: what its statement changed, else what the look after it has seen.
    pub(super) fn of(rows: &[PgRow]) -> Result<Option<Self>, PostgresStoreError> {
        rows.first().map(Self::read).transpose()
    }

    fn read(row: &PgRow) -> Result<Self, PostgresStoreError> {
        if row.try_get::<Option<bool>, _>("sound")? != Some(true) {
            return Err(PostgresStoreError::Unreadable);
        }
        Ok(Self {
            applied: row.try_get("applied")?,
            held: Held::new(
                owner(row)?,
                row.try_get("fence")?,
                number(row.try_get::<i32, _>("attempt")?)?,
            ),
            state: state(row)?,
        })
    }
}

fn owner(row: &PgRow) -> Result<Owner, PostgresStoreError> {
    let owner = bytes(row, "owner")?.try_into();
    let owner: [u8; 16] = owner.map_err(|_| PostgresStoreError::Unreadable)?;
    Ok(Owner::from(owner))
}

fn state(row: &PgRow) -> Result<State, PostgresStoreError> {
    Ok(match row.try_get::<i16, _>("state")? {
        0 => State::Released,
        1 => State::Held {
            left: Duration::from_millis(number(row.try_get::<i64, _>("lease_left")?)?),
        },
        2 => State::Done {
            record: record(row)?,
            kept: row.try_get("kept")?,
        },
        _ => return Err(PostgresStoreError::Unreadable),
    })
}

fn record(row: &PgRow) -> Result<Record, PostgresStoreError> {
    let record = Record::try_from(bytes(row, "record")?.as_slice());
    record.map_err(|_| PostgresStoreError::Unreadable)
}

/// Bytes that the statement has written as hex.
fn bytes(row: &PgRow, column: &str) -> Result<Vec<u8>, PostgresStoreError> {
    let hex: &str = row.try_get(column)?;
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes
        .filter(|_| rest.is_empty())
        .ok_or(PostgresStoreError::Unreadable)
}

fn number<T: TryFrom<i64>>(number: impl Into<i64>) -> Result<T, PostgresStoreError> {
    T::try_from(number.into()).map_err(|_| PostgresStoreError::Unreadable)
}
