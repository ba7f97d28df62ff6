//! The twins and the drain of the crate as they are written, on the primitives of a scheduler.

pub mod drained;
pub mod twinned;

#[allow(dead_code)]
#[path = "../../src/metrics/catalogue.rs"]
mod catalogue;
#[allow(dead_code)]
#[path = "../../src/process/drain/mod.rs"]
mod drain;
// Nothing is counted here.
#[allow(dead_code)]
#[path = "../../src/metrics/off.rs"]
mod handles;
#[allow(dead_code)]
#[path = "../../src/metrics/level.rs"]
mod level;
#[allow(dead_code)]
#[path = "../../src/util/shards.rs"]
mod shards;
#[allow(dead_code)]
#[path = "../../src/process/twins.rs"]
mod twins;

// What they need of the crate, under the names that they know.
mod config {
    pub(crate) use suno_callback::Limits;
}

mod metrics {
    pub(crate) use crate::{
        catalogue::{COMMITS_DEFERRED, REQUESTS_WAITING},
        level::Level,
    };
}

mod store {
    pub(crate) use suno_callback::store::{Record, SlotKey};
}

mod sync;

mod util {
    pub(crate) use crate::{
        shards,
        sync::{self, lock},
    };
}
