//! What the products of one task share: a task is submitted, is worked on, and ends once, with a
//! result or without.
//!
//! Two witnesses say how it ended, the code and a word; where the word stands, which words there
//! are, and where the result is, says each product's [`Dialect`]. Everything else is here.

mod classify;
mod content;
mod dialect;
mod event;
mod failure;
mod json;
mod link;
mod outcome;
mod reading;
mod word;

pub(super) mod field;

pub(super) use self::{
    content::{Content, Found},
    dialect::Dialect,
    event::read,
    json::Json,
    link::{found, job_urls, names, only_link, sorted, unsigned},
    reading::Reading,
    word::{JOB, RECORD, Word, Words},
};
pub use self::{event::TaskEvent, failure::TaskFailure, outcome::TaskOutcome};
