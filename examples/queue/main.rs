//! Slow work behind a queue: one process answers the provider, another does the work.
//!
//! ```sh
//! export SUNO_WEBHOOK_HMAC_KEY=...
//! cargo run -p example-queue -- web postgres://localhost/app 127.0.0.1:8080
//! cargo run -p example-queue -- work postgres://localhost/app http://files.example/
//! ```
//!
//! The queue is [apalis](https://docs.rs/apalis), on the database of the application. `web` turns
//! each finished piece of music into a job and is done in milliseconds; `work` downloads the tracks,
//! from nowhere but where it was told to. As many of either as you like, on `postgres://...`; on
//! `sqlite:FILE` as many as one host has.
//!
//! `kill -9` of either loses nothing: a job and the record of its event are one transaction (on
//! SQLite, a job that has the event's key), and the job of a worker that died is done by another.

mod database;
mod download;
mod job;
mod web;
mod work;

use std::{env, process::ExitCode};

use self::database::Database;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "usage: queue web DATABASE ADDRESS\n       queue work DATABASE LINKS\n\
    DATABASE is postgres://... or sqlite:FILE; LINKS is how a link must begin to be followed";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["web", database, address] => web::serve(database, address).await,
        ["work", database, links] => work::run(database, links).await,
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
