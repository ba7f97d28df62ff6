//! The process that does the work.

use std::{
    process,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;
use apalis_sqlite::SqliteStorage;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    BoxError, Database,
    download::Downloader,
    job::{Download, QUEUE},
};

/// How often a worker looks for jobs.
const POLL: Duration = Duration::from_millis(200);

/// How often a worker says that it lives, and how often in a row it may not until its jobs are
/// given to another.
const HEARTBEAT: Duration = Duration::from_secs(1);
const MISSED: usize = 4;

/// Jobs at a time.
const CONCURRENCY: usize = 4;

#[derive(Clone)]
struct Worker {
    database: Database,
    downloader: Downloader,
}

/// A failure makes the queue try again, up to the job's 25 attempts.
async fn download(job: Download, id: TaskId, worker: Data<Worker>) -> Result<(), BoxError> {
    let id = id.to_string();
    for link in &job.links {
        let size = worker.downloader.fetch(link).await?;
        worker.database.downloaded(&id, link, size).await?;
    }
    println!("{} has {} files", job.task, job.links.len());
    Ok(())
}

pub async fn run(database: &str, links: &str) -> Result<(), BoxError> {
    let database = Database::open(database).await?;
    let worker = Worker {
        database: database.clone(),
        downloader: Downloader::new(links),
    };
    let mut stop = signal(SignalKind::terminate())?;
    let stop = async move {
        stop.recv().await;
        Ok::<_, WorkerError>(())
    };
    let builder = WorkerBuilder::new(name());
    println!("working");
    match database {
        Database::Postgres(pool) => {
            let config = apalis_postgres::Config::default().queue(QUEUE);
            let config = config.batch_size(CONCURRENCY).heartbeat_interval(HEARTBEAT);
            let jobs = PostgresStorage::new(&pool).with_config(config.missed_heartbeats(MISSED));
            let builder = builder.backend(jobs.poll_with_interval(POLL));
            let builder = builder.data(worker).concurrency(CONCURRENCY);
            builder.build(download).run_until(stop).await?;
        }
        Database::Sqlite(pool) => {
            let config = apalis_sqlite::Config::default().queue(QUEUE);
            let config = config.batch_size(CONCURRENCY).heartbeat_interval(HEARTBEAT);
            let jobs = SqliteStorage::new(&pool).with_config(config.missed_heartbeats(MISSED));
            let builder = builder.backend(jobs.poll_with_interval(POLL));
            let builder = builder.data(worker).concurrency(CONCURRENCY);
            builder.build(download).run_until(stop).await?;
        }
    }
    Ok(())
}

/// A name that no process had before: to one of the same name, the jobs of a predecessor that died
/// would be its own, and it would wait for itself.
fn name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_nanos());
    format!("worker-{}-{now}", process::id())
}
