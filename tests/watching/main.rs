//! What is counted, and that the documentation of `suno_callback::metrics` says just that.

mod counted;
mod recorded;
mod table;
