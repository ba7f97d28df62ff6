//! `kill -9` of the process that receives and of the one that works, again and again.
//!
//! What must hold: every event is acknowledged, each has one job, each job has brought its files, and
//! no file is fetched again but by a job whose worker was killed.

mod between;
mod books;
mod files;
mod provider;

use std::{
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use harness::{
    counts::QUEUE_KILLS,
    program::{From, Lines, PATIENCE, Server, program},
    seed,
};

use books::Books;
use files::Files;
use provider::Provider;

/// Events for each kill.
const EVENTS: usize = 8;

/// How long a process lives at most before it is killed.
const LIFE: Duration = Duration::from_millis(400);

/// Jobs that a worker has at a time, as `work.rs` says: in hand, and fetched but not begun.
const IN_HAND: usize = 2 * 4;

#[test]
fn jobs_on_postgres_survive_kills_and_none_is_doubled() {
    kills(&Books::postgres());
}

#[test]
fn jobs_on_sqlite_survive_kills_and_none_is_doubled() {
    kills(&Books::sqlite());
}

fn kills(books: &Books) {
    fastrand::seed(seed());
    let kills = QUEUE_KILLS.size();
    let events = kills * EVENTS;
    let files = Files::serve();
    let mut web = web(books);
    let mut work = Work::start(books, &files);
    let provider = Provider::send(events, &files.url(), web.0.addr);
    let mut workers_killed = 0;
    for kill in 0..kills {
        thread::sleep(LIFE.mul_f64(fastrand::f64())); // what it is doing then is left to chance
        if kill % 2 == 0 {
            kill_9(&mut web.0.child);
            web = self::web(books);
            provider.goes_to(web.0.addr);
        } else {
            kill_9(&mut work.0);
            work = Work::start(books, &files);
            workers_killed += 1;
        }
    }
    provider.finish();
    is_done(books, events);

    let jobs = books.jobs();
    let mut tasks: Vec<_> = jobs.iter().map(|job| job.task.clone()).collect();
    tasks.sort_unstable();
    assert_eq!(
        tasks,
        provider::tasks(events),
        "a job for each event, and once"
    );
    let mut expected = Vec::new();
    for job in &jobs {
        expected.extend(job.links.iter().map(|link| (job.id.clone(), link.clone())));
    }
    expected.sort_unstable();
    assert_eq!(
        books.downloads(),
        expected,
        "each file of each job, and once"
    );
    let again = files.fetched_again(expected.len());
    println!(
        "{events} events, {kills} kills: {} jobs, {again} files fetched again",
        jobs.len()
    );
    assert!(
        again <= workers_killed * IN_HAND * provider::LINKS,
        "{again} files again"
    );
}

fn web(books: &Books) -> (Server, Lines) {
    let mut command = program(env!("CARGO_BIN_EXE_queue"));
    let command = command.args(["web", &books.url, "127.0.0.1:0"]);
    Server::start(command, From::Stdout)
}

/// Killed when the test is over.
struct Work(Child);

impl Work {
    fn start(books: &Books, files: &Files) -> Self {
        let mut command = program(env!("CARGO_BIN_EXE_queue"));
        let command = command.args(["work", &books.url, &files.url()]);
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        kill_9(&mut self.0);
    }
}

fn kill_9(process: &mut Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

fn is_done(books: &Books, events: usize) {
    let end = Instant::now() + PATIENCE;
    loop {
        let done = books.jobs().iter().filter(|job| job.is_done).count();
        if done >= events {
            return;
        }
        assert!(Instant::now() < end, "{done} of {events} jobs are done");
        thread::sleep(Duration::from_millis(50));
    }
}
