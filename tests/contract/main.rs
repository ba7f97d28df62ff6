//! One test for each row of the HTTP contract.

#[path = "../common/mod.rs"]
mod common;

mod answer;
mod body;
mod content;
mod head;
mod wire;
