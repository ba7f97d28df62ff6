//! What the database says in the end, asked beside the programs.

use std::{
    env,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use harness::program::PATIENCE;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};
use tokio::runtime::Runtime;

/// A database of a test's own.
pub struct Books {
    pub url: String,
    runtime: Runtime,
    place: Place,
}

enum Place {
    /// On the server of the gate, whose URL this is, under this name.
    Postgres(String, String),
    Sqlite(PathBuf),
}

pub struct Job {
    pub id: String,
    pub task: String,
    pub links: Vec<String>,
    pub is_done: bool,
}

impl Books {
    pub fn postgres() -> Self {
        let server = env::var("SUNO_TEST_POSTGRES").expect(
            "SUNO_TEST_POSTGRES must be a server; `. tests/servers.sh; servers_start` starts one",
        );
        let name = format!("queue_{:016x}", fastrand::u64(..));
        let (base, _) = server.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}");
        let books = Self {
            url,
            runtime: runtime(),
            place: Place::Postgres(server, name),
        };
        books.on_the_server("CREATE DATABASE", "").unwrap();
        books
    }

    pub fn sqlite() -> Self {
        let folder = env::temp_dir().join(format!("queue-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&folder).unwrap();
        let url = format!("sqlite:{}", folder.join("app.db").display());
        Self {
            url,
            runtime: runtime(),
            place: Place::Sqlite(folder),
        }
    }

    pub fn jobs(&self) -> Vec<Job> {
        let rows = match self.place {
            Place::Postgres(..) => {
                self.ask("SELECT id, convert_from(job, 'UTF8'), status FROM apalis.jobs")
            }
            Place::Sqlite(_) => self.ask("SELECT id, CAST(job AS TEXT), status FROM Jobs"),
        };
        let job = |[id, job, status]: [String; 3]| {
            let job: serde_json::Value = serde_json::from_str(&job).unwrap();
            let links = job["links"].as_array().unwrap().iter();
            Job {
                id,
                task: job["task"].as_str().unwrap().into(),
                links: links.map(|link| link.as_str().unwrap().into()).collect(),
                is_done: status == "Done",
            }
        };
        rows.into_iter().map(job).collect()
    }

    /// Job and link of each file, sorted.
    pub fn downloads(&self) -> Vec<(String, String)> {
        let rows = self.ask("SELECT job, link FROM downloads");
        let mut rows: Vec<_> = rows.into_iter().map(|[job, link]| (job, link)).collect();
        rows.sort_unstable();
        rows
    }

    /// From the first job on, no record can be written any more.
    pub fn hold_records(&self) {
        match self.place {
            Place::Postgres(..) => self.tell(
                "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF EXISTS (SELECT FROM apalis.jobs) THEN PERFORM pg_sleep(600); END IF; \
                 RETURN NEW; END $$; \
                 CREATE TRIGGER held BEFORE UPDATE ON suno_callback \
                 FOR EACH ROW EXECUTE FUNCTION hold()",
            ),
            Place::Sqlite(_) => self.tell(
                "CREATE TRIGGER held BEFORE UPDATE ON suno_callback \
                 WHEN EXISTS (SELECT 1 FROM Jobs) BEGIN SELECT RAISE(ABORT, 'held'); END",
            ),
        }
    }

    /// Waits until somebody has written a job and is at the record.
    pub fn wait_until_held(&self) {
        let held = match self.place {
            Place::Postgres(..) => {
                "SELECT state FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event = 'PgSleep'"
            }
            Place::Sqlite(_) => "SELECT status FROM Jobs",
        };
        let end = Instant::now() + PATIENCE;
        while self.ask::<1>(held).is_empty() {
            assert!(Instant::now() < end, "no job was written");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Records can be written again. Whoever was at one is gone by now.
    pub fn let_go(&self) {
        match self.place {
            Place::Postgres(..) => self.tell(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event = 'PgSleep'; \
                 DROP TRIGGER held ON suno_callback",
            ),
            Place::Sqlite(_) => self.tell("DROP TRIGGER held"),
        }
    }

    fn tell(&self, what: &'static str) {
        self.runtime.block_on(async {
            match &self.place {
                Place::Postgres(..) => {
                    let mut connection = PgConnection::connect(&self.url).await.unwrap();
                    sqlx::raw_sql(what).execute(&mut connection).await.unwrap();
                }
                Place::Sqlite(_) => {
                    let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                    sqlx::raw_sql(what).execute(&mut connection).await.unwrap();
                }
            }
        });
    }

    fn ask<const N: usize>(&self, question: &'static str) -> Vec<[String; N]> {
        self.runtime.block_on(async {
            match &self.place {
                Place::Postgres(..) => {
                    let mut connection = PgConnection::connect(&self.url).await.unwrap();
                    let rows = sqlx::query(question).fetch_all(&mut connection).await;
                    let row = |row: sqlx::postgres::PgRow| std::array::from_fn(|at| row.get(at));
                    rows.unwrap().into_iter().map(row).collect()
                }
                Place::Sqlite(_) => {
                    let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                    let rows = sqlx::query(question).fetch_all(&mut connection).await;
                    let row = |row: sqlx::sqlite::SqliteRow| std::array::from_fn(|at| row.get(at));
                    rows.unwrap().into_iter().map(row).collect()
                }
            }
        })
    }

    fn on_the_server(&self, what: &str, how: &str) -> Result<(), sqlx::Error> {
        let Place::Postgres(server, name) = &self.place else {
            return Ok(());
        };
        let what = AssertSqlSafe(format!("{what} {name} {how}"));
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(server).await?;
            sqlx::raw_sql(what).execute(&mut connection).await?;
            Ok(())
        })
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        match &self.place {
            // The server has not noticed yet that they are killed.
            Place::Postgres(..) => drop(self.on_the_server("DROP DATABASE", "WITH (FORCE)")),
            Place::Sqlite(folder) => drop(std::fs::remove_dir_all(folder)),
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}
