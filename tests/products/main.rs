//! What the callbacks and records of every product are read as.

mod agreement;
mod fixtures;
mod foreign;
mod hostile;
mod mutation;
mod odd;
mod own;
mod said;
mod typed;
mod witnesses;
