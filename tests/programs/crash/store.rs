//! The stores that receivers share, and a look into them from beside.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use sqlx::{AssertSqlSafe, PgPool, Row as _, SqlitePool};
use suno_callback::{
    SunoCallbackLayer,
    store::{SlotKey, SqliteStore},
};
use tower::{Layer, Service};

use harness::{Callback, Seen, accepting, key};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
    Redis,
}

/// A store of a test's own: a file, a schema, or a namespace.
pub struct Store {
    /// What `receiver --store` takes.
    pub url: String,
    /// Different in each run, because a Redis remembers.
    pub name: String,
    place: Place,
}

enum Place {
    Sqlite(SqlitePool, PathBuf),
    Postgres(PgPool),
    Redis(redis::aio::MultiplexedConnection),
}

impl Store {
    pub async fn new(backend: Backend) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let name = format!("crash_{process}_{number}_{:x}", fastrand::u32(..));
        match backend {
            Backend::Sqlite => Self::sqlite(name).await,
            Backend::Postgres => Self::postgres(name).await,
            Backend::Redis => Self::redis(name).await,
        }
    }

    async fn sqlite(name: String) -> Self {
        let dir = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("callbacks.db");
        let options = SqliteStore::connect_options(&file);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        SqliteStore::new(pool.clone()).migrate().await.unwrap();
        Self {
            url: format!("sqlite:{}", file.display()),
            name,
            place: Place::Sqlite(pool, dir),
        }
    }

    async fn postgres(name: String) -> Self {
        let server = std::env::var("SUNO_TEST_POSTGRES").expect(
            "SUNO_TEST_POSTGRES must be the url of a PostgreSQL that tests may use; \
             `. tests/servers.sh; servers_start` starts one",
        );
        let sign = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{sign}options[search_path]={name}");
        let pool = PgPool::connect(&url).await.unwrap();
        let create = AssertSqlSafe(format!("CREATE SCHEMA {name}"));
        sqlx::query(create).execute(&pool).await.unwrap();
        Self {
            url,
            name,
            place: Place::Postgres(pool),
        }
    }

    async fn redis(name: String) -> Self {
        let url = std::env::var("SUNO_TEST_REDIS").expect(
            "SUNO_TEST_REDIS must be the url of a Redis that tests may use; \
             `. tests/servers.sh; servers_start` starts one",
        );
        let client = redis::Client::open(&*url).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        Self {
            url,
            name,
            place: Place::Redis(connection),
        }
    }

    /// The slot of an event of this store's namespace.
    pub async fn slot(&self, callback: &Callback) -> SlotKey {
        let seen = Seen::default();
        let layer = SunoCallbackLayer::new(key(), suno_callback::MemoryStore::default());
        let mut service = layer.namespace(&self.name).layer(accepting(seen.clone()));
        service.call(callback.request()).await.unwrap();
        *seen.all()[0].1.slot()
    }

    /// All that the store has of a slot, as it is.
    pub async fn row(&self, slot: &SlotKey) -> Row {
        let fields = match &self.place {
            Place::Sqlite(pool, _) => {
                let look = "SELECT CAST(state AS TEXT), hex(owner), CAST(fence AS TEXT), \
                     hex(record), attempt || ' ' || lease_until || ' ' || expires_at \
                     FROM suno_callback WHERE slot = ?1";
                let row = sqlx::query(look).bind(&slot.as_bytes()[..]);
                let row = row.fetch_one(pool).await.unwrap();
                std::array::from_fn(|field| row.get(field))
            }
            Place::Postgres(pool) => {
                let look = "SELECT state::text, encode(owner, 'hex'), fence::text, \
                     coalesce(encode(record, 'hex'), ''), \
                     concat_ws(' ', attempt, lease_until, expires_at) \
                     FROM suno_callback WHERE slot = $1";
                let row = sqlx::query(look).bind(&slot.as_bytes()[..]);
                let row = row.fetch_one(pool).await.unwrap();
                std::array::from_fn(|field| row.get(field))
            }
            Place::Redis(connection) => redis_row(connection.clone(), slot).await,
        };
        let [state, owner, fence, record, rest] = fields;
        Row {
            state: state.parse().unwrap(),
            fence: fence.parse().unwrap(),
            owner,
            record,
            rest,
        }
    }

    /// How many effects there are of each task.
    pub async fn effects(&self) -> HashMap<String, i64> {
        let Place::Postgres(pool) = &self.place else {
            panic!("only PostgreSQL has effects");
        };
        let count = "SELECT task_id, count(*) FROM suno_voice_events GROUP BY task_id";
        let rows = sqlx::query(count).fetch_all(pool).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Removes what the test has left. After a failure it stays, to be looked at.
    pub async fn remove(self) {
        match self.place {
            Place::Sqlite(pool, dir) => {
                pool.close().await;
                std::fs::remove_dir_all(dir).unwrap();
            }
            Place::Postgres(pool) => {
                let drop = AssertSqlSafe(format!("DROP SCHEMA {} CASCADE", self.name));
                sqlx::query(drop).execute(&pool).await.unwrap();
            }
            Place::Redis(_) => {} // the keys expire
        }
    }
}

async fn redis_row(
    mut connection: redis::aio::MultiplexedConnection,
    slot: &SlotKey,
) -> [String; 5] {
    let key = format!("suno-callback:{}", hex(slot.as_bytes()));
    let (fields, expires): (Vec<Option<Vec<u8>>>, String) = redis::pipe()
        .cmd("HMGET")
        .arg(&key)
        .arg(&["s", "o", "f", "r", "a", "l"])
        .cmd("PEXPIRETIME")
        .arg(&key)
        .query_async(&mut connection)
        .await
        .unwrap();
    let fields = fields.into_iter().map(Option::unwrap_or_default);
    let fields: Vec<Vec<u8>> = fields.collect();
    let text = |field: usize| String::from_utf8(fields[field].clone()).unwrap();
    let rest = format!("{} {} {expires}", text(4), text(5));
    [text(0), hex(&fields[1]), text(2), hex(&fields[3]), rest]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One slot, as a store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub state: i64,
    pub owner: String,
    pub fence: i64,
    pub record: String,
    rest: String,
}

impl Row {
    pub const HELD: i64 = 1;
    pub const DONE: i64 = 2;
}
