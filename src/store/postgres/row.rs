//! What a statement says about its slot.

use std::time::Duration;

use sqlx::{Decode, Postgres, Row as _, Type, postgres::PgRow};

use super::error::PostgresStoreError;
use crate::store::{Held, Owner, Record};

/// What became of a step.
pub(crate) enum Answer {
    /// The slot was changed, and has this fence and attempt now.
    Applied {
        fence: i64,
        attempt: u32,
        /// Whether within a savepoint. Only a commit can be.
        nested: bool,
    },
    /// Nothing was changed, because this is there, or nothing.
    Refused(Option<Row>),
}

/// One slot.
pub(crate) struct Row {
    pub(crate) held: Held,
    pub(crate) state: State,
}

pub(crate) enum State {
    Released,
    Held { left: Duration },
    Done { record: Record, kept: bool },
}

impl Answer {
    /// First comes what the step's statement has changed, then what the look after it has seen.
    pub(crate) fn of(rows: &[PgRow]) -> Result<Self, PostgresStoreError> {
        let Some(row) = rows.first() else {
            return Ok(Self::Refused(None));
        };
        Ok(match get(row, "applied")? {
            true => Self::Applied {
                fence: get(row, "fence")?,
                attempt: number(get::<i32>(row, "attempt")?)?,
                nested: row.try_get("nested").unwrap_or(false),
            },
            false => Self::Refused(Some(Row::read(row)?)),
        })
    }

    pub(crate) fn row(self) -> Option<Row> {
        match self {
            Self::Refused(row) => row,
            Self::Applied { .. } => None,
        }
    }
}

impl Row {
    /// Refuses what this library never writes.
    fn read(row: &PgRow) -> Result<Self, PostgresStoreError> {
        let (fence, attempt) = (get(row, "fence")?, get::<i32>(row, "attempt")?);
        if fence < 1 || attempt < 1 {
            return Err(PostgresStoreError::Unreadable);
        }
        Ok(Self {
            held: Held::new(owner(row)?, fence, number(attempt)?),
            state: state(row)?,
        })
    }

    pub(crate) fn is_held_by(&self, held: &Held) -> bool {
        self.is_of(held) && matches!(self.state, State::Held { .. })
    }

    pub(crate) fn is_done_by(&self, held: &Held) -> bool {
        self.is_of(held) && matches!(self.state, State::Done { .. })
    }

    fn is_of(&self, held: &Held) -> bool {
        self.held.owner() == held.owner() && self.held.fence() == held.fence()
    }
}

fn owner(row: &PgRow) -> Result<Owner, PostgresStoreError> {
    let owner = from_hex(get(row, "owner")?)?.try_into();
    let owner: [u8; 16] = owner.map_err(|_| PostgresStoreError::Unreadable)?;
    Ok(Owner::from(owner))
}

fn state(row: &PgRow) -> Result<State, PostgresStoreError> {
    // It may end while the row is read, between two looks at the clock.
    let left = get::<i64>(row, "lease_left")?.max(0);
    let left = Duration::from_millis(number(left)?);
    let kept = get(row, "kept")?;
    let record = match row.try_get::<Option<&str>, _>("record")? {
        Some(hex) => Some(from_hex(hex)?),
        None => None,
    };
    match (get::<i16>(row, "state")?, record) {
        (0, None) => Ok(State::Released),
        (1, None) => Ok(State::Held { left }),
        (2, Some(record)) => {
            let record = Record::try_from(record.as_slice());
            let record = record.map_err(|_| PostgresStoreError::Unreadable)?;
            Ok(State::Done { record, kept })
        }
        _ => Err(PostgresStoreError::Unreadable),
    }
}

/// A value that is never null in what this library writes.
fn get<'r, T>(row: &'r PgRow, column: &str) -> Result<T, PostgresStoreError>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    let value: Option<T> = row.try_get(column)?;
    value.ok_or(PostgresStoreError::Unreadable)
}

fn from_hex(hex: &str) -> Result<Vec<u8>, PostgresStoreError> {
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
