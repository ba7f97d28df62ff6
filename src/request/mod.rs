//! The way of a request, a file per step.
//!
//! ```text
//! gate -> body -> verify -> (confirm) -> claim -> handle -> settle
//! ```

pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod claim;
pub(crate) mod confirm;
pub(crate) mod detach;
pub(crate) mod gate;
pub(crate) mod handle;
pub(crate) mod heartbeat;
pub(crate) mod heir;
pub(crate) mod hint;
pub(crate) mod keep;
pub(crate) mod log;
pub(crate) mod operation;
pub(crate) mod pipeline;
pub(crate) mod settle;
