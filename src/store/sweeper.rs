use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use tokio::runtime::Handle;
use tower::BoxError;

use crate::trace;

/// Has some of what expired removed, once in a while, while nobody waits for it. Clones count
/// together.
#[derive(Clone, Debug, Default)]
pub(super) struct Sweeper(Arc<AtomicU32>);

impl Sweeper {
    /// Starts a task with the future of `sweep`, every `period`th time.
    pub(super) fn now_and_then<F, E>(&self, period: u32, sweep: impl FnOnce() -> F)
    where
        F: Future<Output = Result<u64, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let count = self.0.fetch_add(1, Relaxed).wrapping_add(1);
        if !count.is_multiple_of(period) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let sweep = sweep();
        runtime.spawn(async move {
            if let Err(error) = sweep.await {
                trace::store_failed("sweep", &error.into());
            }
        });
    }
}
