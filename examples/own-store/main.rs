//! A store of one's own: any database with transactions can remember callbacks.
//!
//! Run it with `cargo run -p example-own-store`. It checks the store below
//! against every law, serves a signed callback, and serves it again after a restart.
//!
//! A [`DedupStore`] has five operations, and the hard part of each is the same: read one row,
//! decide, write it back, and let nobody in between. So this one has a single function that does
//! that in a transaction ([`RedbStore::change`]), and the operations are plain functions from the
//! row that was found to the row that shall be (or `None` to leave it) and an answer. Put your own
//! database into `change`, and most of the file stays as it is.
//!
//! What to look for in a database:
//!
//! - a transaction, a conditional update or a script that is atomic for one row;
//! - that an answer means "on disk": what is acknowledged must survive a crash;
//! - a clock that all who share the rows agree on. Here it is the host's, because redb is for one
//!   process.
//!
//! What to look for in the code:
//!
//! - a row that cannot be understood is an error (`Row::read`), never a free slot;
//! - a released slot keeps its row for an hour, so that its fence goes on growing;
//! - the layer drops futures that take too long. The work is in `spawn_blocking`, which runs to
//!   its end whoever waits for it, so each operation is whole or not at all.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use redb::{Database, ReadableTable, TableDefinition};
use suno_callback::{
    SigningKey, SunoCallbackLayer, SystemClock, VoiceEvent,
    store::{Claim, DedupStore, Held, KEEP_FENCE, MAX_LEASE, Owner, Record, Settled, SlotKey},
    testkit::{self, Callback},
};
use tower::{BoxError, Layer, ServiceExt};

/// State, owner, fence, attempt, end of the lease, end of the row, record. Times in ms since 1970.
type Columns<'a> = (u8, &'a [u8; 16], i64, u32, u64, u64, &'a [u8]);

const SLOTS: TableDefinition<&[u8; 32], Columns<'static>> = TableDefinition::new("slots");

/// When each row ends, in order, so that what has ended is found without a search.
const ENDS: TableDefinition<(u64, &[u8; 32]), ()> = TableDefinition::new("ends");

/// Remembers in a file of this process.
#[derive(Clone)]
struct RedbStore(Arc<Database>);

impl RedbStore {
    /// How many rows that have ended one change removes: more than it can add.
    const SWEEP: usize = 4;

    /// redb locks the file: a second process is refused here.
    fn open(file: &Path) -> Result<Self, BoxError> {
        let database = Database::create(file)?;
        let transaction = database.begin_write()?;
        transaction.open_table(SLOTS)?;
        transaction.open_table(ENDS)?;
        transaction.commit()?;
        Ok(Self(Arc::new(database)))
    }

    /// Reads the row of a slot, lets `decide` look at it, and writes what it says.
    async fn change<T: Send + 'static>(
        &self,
        slot: &SlotKey,
        decide: impl FnOnce(Option<Row>, u64) -> (Option<Row>, T) + Send + 'static,
    ) -> Result<T, BoxError> {
        let (database, slot) = (Arc::clone(&self.0), *slot.as_bytes());
        let change = move || {
            let transaction = database.begin_write()?;
            let now = now()?;
            let found = read(&transaction.open_table(SLOTS)?, &slot)?;
            let ends = found.as_ref().map(|row| row.ends);
            let alive = found.filter(|row| row.ends > now);
            let (next, answer) = decide(alive, now);
            if let Some(row) = next {
                write(&transaction, &slot, ends, &row)?;
                sweep(&transaction, now)?;
                transaction.commit()?;
            }
            Ok(answer)
        };
        tokio::task::spawn_blocking(change).await?
    }
}

impl DedupStore for RedbStore {
    type Error = BoxError;

    async fn peek(&self, slot: &SlotKey) -> Result<Option<Record>, BoxError> {
        let (database, slot) = (Arc::clone(&self.0), *slot.as_bytes());
        let peek = move || {
            use redb::ReadableDatabase;
            let now = now()?;
            let row = read(&database.begin_read()?.open_table(SLOTS)?, &slot)?;
            Ok(match row {
                Some(row) if row.ends > now => row.done(),
                _ => None,
            })
        };
        tokio::task::spawn_blocking(peek).await?
    }

    async fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, BoxError> {
        self.change(slot, move |row, now| claim(row, owner, lease, now))
            .await
    }

    async fn renew(
        &self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> Result<Settled, BoxError> {
        let held = *held;
        let renew = move |row, now| {
            let row = of(row, &held).filter(|row| row.state == State::Held);
            settled(row.map(|row| row.held_until(after(now, lease), now)))
        };
        self.change(slot, renew).await
    }

    async fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Result<Settled, BoxError> {
        let (held, record) = (*held, *record);
        let commit = move |row, now| {
            let row = of(row, &held).filter(|row| row.state != State::Free);
            settled(row.map(|row| Row {
                state: State::Done(record),
                ends: after(now, retain),
                ..row
            }))
        };
        self.change(slot, commit).await
    }

    async fn release(&self, slot: &SlotKey, held: &Held) -> Result<Settled, BoxError> {
        let held = *held;
        let release = move |row, now| {
            let row = of(row, &held).filter(|row| row.state == State::Held);
            settled(row.map(|row| Row {
                state: State::Free,
                ends: after(now, KEEP_FENCE),
                ..row
            }))
        };
        self.change(slot, release).await
    }
}

struct Row {
    state: State,
    owner: Owner,
    fence: i64,
    attempt: u32,
    lease: u64,
    ends: u64,
}

#[derive(PartialEq)]
enum State {
    Free,
    Held,
    Done(Record),
}

/// The decision at the heart of a store.
fn claim(found: Option<Row>, owner: Owner, lease: Duration, now: u64) -> (Option<Row>, Claim) {
    let until = after(now, lease);
    let row = match found {
        None => Row::first(owner),
        Some(row) => match row.state {
            State::Done(record) => return (None, Claim::Done(record)),
            State::Held if row.owner == owner => row,
            State::Held if row.lease > now && row.lease <= after(now, MAX_LEASE) => {
                let remaining = Duration::from_millis(row.lease - now);
                return (None, Claim::InFlight { remaining });
            }
            State::Held | State::Free => row.taken_by(owner),
        },
    };
    let held = Held::new(row.owner, row.fence, row.attempt);
    (Some(row.held_until(until, now)), Claim::Granted(held))
}

/// The row, if `held` is what it was granted with.
fn of(row: Option<Row>, held: &Held) -> Option<Row> {
    row.filter(|row| row.owner == held.owner() && row.fence == held.fence())
}

fn settled(row: Option<Row>) -> (Option<Row>, Settled) {
    match row {
        Some(row) => (Some(row), Settled::Applied),
        None => (None, Settled::Lost),
    }
}

impl Row {
    fn first(owner: Owner) -> Self {
        Self {
            state: State::Held,
            owner,
            fence: 1,
            attempt: 1,
            lease: 0,
            ends: 0,
        }
    }

    fn taken_by(self, owner: Owner) -> Self {
        Self {
            owner,
            fence: self.fence + 1,
            attempt: self.attempt.saturating_add(1),
            ..self
        }
    }

    fn held_until(self, lease: u64, now: u64) -> Self {
        Self {
            state: State::Held,
            lease,
            ends: after(now, KEEP_FENCE),
            ..self
        }
    }

    fn done(&self) -> Option<Record> {
        match self.state {
            State::Done(record) => Some(record),
            _ => None,
        }
    }

    fn read(
        (state, owner, fence, attempt, lease, ends, record): Columns,
    ) -> Result<Self, BoxError> {
        let state = match state {
            0 => State::Free,
            1 => State::Held,
            2 => State::Done(Record::try_from(record)?),
            _ => return Err("a row of an unknown state".into()),
        };
        if !(1..i64::MAX).contains(&fence) || attempt == 0 {
            return Err("a row that was never granted".into());
        }
        let owner = Owner::from(*owner);
        Ok(Self {
            state,
            owner,
            fence,
            attempt,
            lease,
            ends,
        })
    }

    fn columns(&self) -> Columns<'_> {
        let (state, record) = match &self.state {
            State::Free => (0, &[][..]),
            State::Held => (1, &[][..]),
            State::Done(record) => (2, record.as_bytes()),
        };
        let owner = self.owner.as_bytes();
        (
            state,
            owner,
            self.fence,
            self.attempt,
            self.lease,
            self.ends,
            record,
        )
    }
}

fn read(
    slots: &impl ReadableTable<&'static [u8; 32], Columns<'static>>,
    slot: &[u8; 32],
) -> Result<Option<Row>, BoxError> {
    let found = slots.get(slot)?;
    found.map(|row| Row::read(row.value())).transpose()
}

fn write(
    transaction: &redb::WriteTransaction,
    slot: &[u8; 32],
    ended: Option<u64>,
    row: &Row,
) -> Result<(), BoxError> {
    let mut ends = transaction.open_table(ENDS)?;
    if let Some(before) = ended {
        ends.remove((before, slot))?;
    }
    ends.insert((row.ends, slot), ())?;
    transaction.open_table(SLOTS)?.insert(slot, row.columns())?;
    Ok(())
}

fn sweep(transaction: &redb::WriteTransaction, now: u64) -> Result<(), BoxError> {
    let mut ends = transaction.open_table(ENDS)?;
    let mut slots = transaction.open_table(SLOTS)?;
    for _ in 0..RedbStore::SWEEP {
        let first = ends.first()?.map(|(key, _)| {
            let (at, slot) = key.value();
            (at, *slot)
        });
        let Some((at, slot)) = first.filter(|(at, _)| *at <= now) else {
            break;
        };
        ends.remove((at, &slot))?;
        slots.remove(&slot)?;
    }
    Ok(())
}

fn now() -> Result<u64, BoxError> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(since_1970.as_millis())?)
}

fn after(now: u64, span: Duration) -> u64 {
    now.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = std::env::temp_dir().join(format!("own-store-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let shown = show(&folder.join("callbacks.redb")).await;
    std::fs::remove_dir_all(&folder)?;
    shown
}

async fn show(file: &Path) -> Result<(), BoxError> {
    testkit::all(&Arc::new(RedbStore::open(file)?)).await?;
    println!("the store keeps every law");

    let key = SigningKey::new("the key of the settings page")?;
    let callback = Callback::success("task-1", "voice-1");
    for after in ["the first start", "a restart"] {
        let layer = SunoCallbackLayer::new(key.clone(), RedbStore::open(file)?);
        let handler = tower::service_fn(|request: Request<Full<Bytes>>| async move {
            let event = request.extensions().get::<VoiceEvent>().cloned();
            println!("handled {}", event.ok_or("no event")?.task_id());
            Ok::<_, BoxError>(Response::new(Full::new(Bytes::new())))
        });
        let request = callback.signed(&key, &SystemClock);
        let response = layer.layer(handler).oneshot(request).await?;
        println!("after {after} the answer is {}", response.status());
    }
    Ok(())
}
