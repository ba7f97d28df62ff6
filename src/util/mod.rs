//! What knows nothing of callbacks: clocks, timers, panics, chance, hashes, and the log.

mod causes;
pub(crate) mod clock;
mod escaped;
mod lock;
pub(crate) mod log;
pub(crate) mod panic;
pub(crate) mod random;
pub(crate) mod shards;
pub(crate) mod sync;
pub(crate) mod tally;
pub(crate) mod timer;

#[cfg(feature = "testkit")]
pub(crate) use self::escaped::cut;
pub(crate) use self::{
    causes::{WithCauses, debug_is_the_text},
    escaped::Escaped,
    lock::lock,
};
