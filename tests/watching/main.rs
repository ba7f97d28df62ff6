//! What is counted, and that the documentation of `suno_callback::metrics` says just that. And the
//! diagrams.

mod counted;
mod diagrams;
mod recorded;
mod table;
