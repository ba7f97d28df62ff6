//! PostgreSQL, in a table of its own.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions, raw_sql};
use suno_callback::store::PostgresStore;

pub(crate) struct Postgres {
    pub(crate) store: Arc<PostgresStore>,
    pub(crate) pool: PgPool,
    pub(crate) table: String,
}

impl Postgres {
    /// As many connections as sqlx takes by default, untested, as the store's documentation
    /// advises.
    pub(crate) async fn open() -> Self {
        let pool = PgPoolOptions::new().test_before_acquire(false);
        let pool = pool.connect(&crate::server("SUNO_TEST_POSTGRES")).await;
        let pool = pool.expect("a PostgreSQL at SUNO_TEST_POSTGRES");
        let table = format!("suno_callback_bench_{}", std::process::id());
        let store = PostgresStore::new(pool.clone()).table(&table);
        let store = store.expect("a good name");
        store.migrate().await.expect("a table");
        Self {
            store: Arc::new(store),
            pool,
            table,
        }
    }

    /// Writes done slots as the store would, all in one transaction.
    pub(crate) async fn fill(&self, size: u64) {
        let table = &self.table;
        self.run(format!(
            "INSERT INTO {table} (slot, state, owner, fence, attempt, lease_until, record, expires_at)
             SELECT sha256(convert_to(number::text, 'UTF8')), 2,
                 decode(md5(number::text), 'hex'), 1, 1, clock_timestamp(),
                 convert_to(repeat('7', 42), 'UTF8'), clock_timestamp() + interval '1 day'
             FROM generate_series(1, {size}) AS rows (number)"
        ))
        .await;
        self.run(format!("VACUUM ANALYZE {table}")).await;
    }

    /// The table with its indexes.
    pub(crate) async fn bytes(&self) -> u64 {
        let size = sqlx::query_scalar("SELECT pg_total_relation_size($1::regclass)");
        let size: i64 = size
            .bind(&self.table)
            .fetch_one(&self.pool)
            .await
            .expect("a size");
        size.unsigned_abs()
    }

    pub(crate) async fn remove(self) {
        self.run(format!("DROP TABLE {}", self.table)).await;
    }

    pub(crate) async fn run(&self, sql: String) {
        let done = raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await;
        done.expect("the database does it");
    }
}
