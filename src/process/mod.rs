//! What one process shares between its requests.

pub(crate) mod confirmer;
pub(crate) mod drain;
pub(crate) mod patient;
pub(crate) mod questions;
pub(crate) mod tries;
pub(crate) mod twins;
pub(crate) mod variants;
