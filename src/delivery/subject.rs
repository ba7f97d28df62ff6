use tokio::time::Instant;

use super::Origin;
use crate::{
    event::{Stage, TaskId},
    metrics::EventMeters,
};

/// What the log says about an event, and what counts it. Made for every event, so nothing in it costs anything.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) task_id: &'a TaskId,
    pub(crate) product: &'static str,
    pub(crate) stage: Stage,
    /// The product that unknown content is of, where that is plain.
    pub(crate) foreign: Option<&'static str>,
    pub(crate) origin: &'a Origin,
    pub(crate) began: Instant,
    pub(crate) meters: &'a EventMeters,
}
