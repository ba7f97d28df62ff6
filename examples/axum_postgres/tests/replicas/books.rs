//! What the database says, asked beside the replicas.

use std::{
    env, thread,
    time::{Duration, Instant},
};

use harness::program::PATIENCE;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, postgres::PgRow};
use tokio::runtime::{Builder, Runtime};

use crate::fleet::NAMES;

/// A database of a test's own.
pub struct Books {
    server: String,
    name: String,
    runtime: Runtime,
}

impl Books {
    pub fn new() -> Self {
        let server = env::var("SUNO_TEST_POSTGRES").expect(
            "SUNO_TEST_POSTGRES must be a server; `. tests/servers.sh; servers_start` starts one",
        );
        let name = format!("replicas_{:016x}", fastrand::u64(..));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let books = Self {
            server,
            name,
            runtime,
        };
        let create = format!("CREATE DATABASE {}", books.name);
        books.ask(&books.server, create).unwrap();
        books
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    /// As a replica connects, so that the database can say whose a connection is.
    pub fn url_of(&self, replica: &str) -> String {
        format!("{}?application_name={replica}", self.url())
    }

    /// Task and voice of each row, sorted.
    pub fn voices(&self) -> Vec<(String, String)> {
        let all = "SELECT task_id, voice_id FROM voices ORDER BY task_id, voice_id";
        let rows = self.ask(&self.url(), all.into()).unwrap();
        rows.into_iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect()
    }

    /// From the first voice on, no record can be written any more.
    pub fn hold(&self) {
        self.tell(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF EXISTS (SELECT FROM voices) THEN PERFORM pg_sleep(600); END IF; \
             RETURN NEW; END $$; \
             CREATE TRIGGER held BEFORE UPDATE ON suno_callback \
             FOR EACH ROW EXECUTE FUNCTION hold()",
        );
    }

    /// Waits until a replica has written a voice and is at its record.
    pub fn holder(&self) -> usize {
        let who = "SELECT application_name FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event = 'PgSleep'";
        let end = Instant::now() + PATIENCE;
        loop {
            let rows = self.ask(&self.url(), who.into()).unwrap();
            if let Some(row) = rows.first() {
                let name: &str = row.get(0);
                return NAMES.iter().position(|it| *it == name).unwrap();
            }
            assert!(Instant::now() < end, "no voice was written");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whoever was there is gone by now.
    pub fn let_go(&self) {
        self.tell(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event = 'PgSleep'; \
             DROP TRIGGER held ON suno_callback",
        );
    }

    fn tell(&self, what: &str) {
        self.ask(&self.url(), what.into()).unwrap();
    }

    fn ask(&self, url: &str, what: String) -> Result<Vec<PgRow>, sqlx::Error> {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(url).await?;
            sqlx::raw_sql(AssertSqlSafe(what))
                .fetch_all(&mut connection)
                .await
        })
    }
}

/// The server may not have noticed yet that the replicas are killed.
impl Drop for Books {
    fn drop(&mut self) {
        let drop_it = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        drop(self.ask(&self.server, drop_it));
    }
}
