//! What is answered to what: one test for each row of the HTTP contract.

mod answer;
mod axum;
mod body;
mod content;
mod head;
#[cfg(feature = "tracing")]
mod newcomer;
mod respond;
mod signature;
mod wire;
