//! PostgreSQL: the store, its text by hand, the same as prepared statements, and two plain ones.

use std::sync::Arc;

use sqlx::{
    AssertSqlSafe, Executor as _, PgPool, Row as _,
    postgres::{PgPoolOptions, PgRow},
    query, raw_sql,
};
use suno_callback::store::PostgresStore;

use super::{Comparison, Server, Way};
use crate::{LEASE, handle, handle_as, hex, owner, slot};

const RECORD: [u8; 42] = [7; 42];
const SLOT: &str = "{slot}";
const OWNER: &str = "{owner}";

const STORE: &str = "store";
const SAME: &str = "its messages, bare";
const PREPARED: &str = "store, prepared";
const SAME_PREPARED: &str = "its messages, bare, prepared";
const BY_HAND: &str = "INSERT and UPDATE, bound";

pub(super) struct Postgres {
    bench: crate::postgres::Postgres,
    prepared: Arc<PostgresStore>,
    text: Arc<Text>,
    prepared_text: Arc<Text>,
}

impl Postgres {
    pub(super) async fn open() -> Self {
        let bench = crate::postgres::Postgres::open().await;
        let table = &bench.table;
        bench
            .run(format!(
                "CREATE TABLE {table}_by_hand (
                     slot bytea PRIMARY KEY, owner bytea NOT NULL,
                     lease_until timestamptz NOT NULL, record bytea
                 )"
            ))
            .await;
        let [claim, commit] = spoken(&bench, &bench.store).await;
        let text = Text {
            pool: bench.pool.clone(),
            claim,
            commit,
        };
        let prepared = PostgresStore::new(pool("").await).prepared();
        let prepared = prepared.table(table).expect("a good name");
        // Each of these may be the first of its session, and prepare everything on the way.
        let spoken = spoken(&bench, &prepared).await;
        let [(prepare, claim), (_, commit)] = spoken.each_ref().map(|text| apart(text));
        let prepared_text = Text {
            pool: pool(prepare).await,
            claim,
            commit,
        };
        Self {
            bench,
            prepared: Arc::new(prepared),
            text: Arc::new(text),
            prepared_text: Arc::new(prepared_text),
        }
    }

    pub(super) async fn remove(self) {
        let table = &self.bench.table;
        self.bench.run(format!("DROP TABLE {table}_by_hand")).await;
        self.bench.remove().await;
    }

    pub(super) async fn comparison(&self) -> Comparison {
        let [store, prepared] = [&self.bench.store, &self.prepared].map(Arc::clone);
        let [text, prepared_text] = [&self.text, &self.prepared_text].map(Arc::clone);
        let plain = Arc::new(Plain::new(&self.bench));
        let ways = vec![
            Way::new(STORE, move || stored(Arc::clone(&store))),
            Way::new(SAME, move || Arc::clone(&text).handle()),
            Way::new(PREPARED, move || stored(Arc::clone(&prepared))),
            Way::new(SAME_PREPARED, move || Arc::clone(&prepared_text).handle()),
            Way::new(BY_HAND, move || Arc::clone(&plain).handle()),
        ];
        // So that every session is there, and has prepared what it will.
        for way in &ways {
            way.turn(64).await;
        }
        Comparison {
            server: self.sessions().await,
            ways,
            pairs: &[
                (STORE, SAME),
                (PREPARED, SAME_PREPARED),
                (PREPARED, STORE),
                (STORE, BY_HAND),
                (PREPARED, BY_HAND),
            ],
        }
    }

    async fn sessions(&self) -> Server {
        let sessions =
            raw_sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'");
        let sessions = sessions.fetch_all(&self.bench.pool).await;
        let process = |row: &PgRow| u64::from(row.get::<i32, _>(0).unsigned_abs());
        Server(sessions.expect("sessions").iter().map(process).collect())
    }
}

/// Like that of the store, with this done in each of its sessions.
async fn pool(prepare: &str) -> PgPool {
    let prepare = String::from(prepare);
    let pool = PgPoolOptions::new().test_before_acquire(false);
    let pool = pool.after_connect(move |connection, _| {
        let prepare = raw_sql(AssertSqlSafe(prepare.clone()));
        Box::pin(async move { connection.execute(prepare).await.map(|_| ()) })
    });
    let pool = pool.connect(&crate::server("SUNO_TEST_POSTGRES")).await;
    pool.expect("a PostgreSQL at SUNO_TEST_POSTGRES")
}

async fn stored(store: Arc<PostgresStore>) {
    assert!(handle(&*store, slot()).await);
}

/// What the store sends for a claim and for its commit, as the server itself has it, with names in
/// the places of the slot and of the owner.
async fn spoken(bench: &crate::postgres::Postgres, store: &PostgresStore) -> [String; 2] {
    let table = &bench.table;
    bench
        .run(format!(
            "CREATE TABLE {table}_spoken (number serial, text text NOT NULL);
             CREATE FUNCTION {table}_listen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO {table}_spoken (text) VALUES (current_query());
                 RETURN NULL;
             END $$;
             CREATE TRIGGER listen AFTER INSERT OR UPDATE ON {table}
             FOR EACH ROW EXECUTE FUNCTION {table}_listen()"
        ))
        .await;
    let (slot, owner) = (slot(), owner());
    handle_as(store, slot, owner).await;
    let texts = format!("SELECT text FROM {table}_spoken ORDER BY number");
    let texts = raw_sql(AssertSqlSafe(texts)).fetch_all(&bench.pool).await;
    let texts = texts.expect("what was spoken");
    bench
        .run(format!(
            "DROP TRIGGER listen ON {table}; DROP FUNCTION {table}_listen; DROP TABLE {table}_spoken"
        ))
        .await;
    let texts: Vec<String> = texts.iter().map(|row| row.get(0)).collect();
    let texts: [String; 2] = texts.try_into().expect("of a claim, and of a commit");
    texts.map(|text| {
        let text = text.replace(&hex(slot.as_bytes()), SLOT);
        text.replace(&hex(owner.as_bytes()), OWNER)
    })
}

/// What prepares everything, and the message without it.
fn apart(text: &str) -> (&str, String) {
    let execute = text.find("EXECUTE ").expect("a prepared step");
    let prepare = text.find("PREPARE ").unwrap_or(execute);
    let message = [&text[..prepare], &text[execute..]].concat();
    (&text[prepare..execute], message)
}

/// A claim and a commit as messages of the simple protocol.
struct Text {
    pool: PgPool,
    claim: String,
    commit: String,
}

impl Text {
    async fn handle(self: Arc<Self>) {
        let (slot, owner) = (hex(slot().as_bytes()), hex(owner().as_bytes()));
        for text in [&self.claim, &self.commit] {
            let text = text.replace(SLOT, &slot).replace(OWNER, &owner);
            let rows = raw_sql(AssertSqlSafe(text)).fetch_all(&self.pool).await;
            let rows = rows.expect("an answer");
            assert!(rows[0].get::<bool, _>("applied"));
        }
    }
}

/// A claim and a commit as one would write them, on a table of three columns beside the key.
struct Plain {
    pool: PgPool,
    claim: &'static str,
    commit: &'static str,
}

impl Plain {
    fn new(bench: &crate::postgres::Postgres) -> Self {
        let table = format!("{}_by_hand", bench.table);
        Self {
            pool: bench.pool.clone(),
            claim: format!(
                "INSERT INTO {table} AS t (slot, owner, lease_until)
                 VALUES ($1, $2, now() + $3 * interval '1 millisecond')
                 ON CONFLICT (slot) DO UPDATE
                 SET owner = excluded.owner, lease_until = excluded.lease_until
                 WHERE t.record IS NULL AND t.lease_until <= now()
                 RETURNING lease_until IS NOT NULL"
            )
            .leak(),
            commit: format!("UPDATE {table} SET record = $3 WHERE slot = $1 AND owner = $2").leak(),
        }
    }

    async fn handle(self: Arc<Self>) {
        let (slot, owner) = (slot(), owner());
        let (slot, owner) = (&slot.as_bytes()[..], &owner.as_bytes()[..]);
        let claim = query(self.claim).bind(slot).bind(owner);
        let claim = claim.bind(LEASE.as_millis() as f64);
        let claim = claim.fetch_one(&self.pool).await;
        claim.expect("a claim");
        let commit = query(self.commit).bind(slot).bind(owner);
        let commit = commit.bind(&RECORD[..]).execute(&self.pool).await;
        assert_eq!(commit.expect("a commit").rows_affected(), 1);
    }
}
