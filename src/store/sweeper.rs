use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{runtime::Handle, time::timeout};
use tower::BoxError;

use crate::util::log;

/// Has some of what expired removed, once in a while, while nobody waits for it. Clones count
/// together.
#[derive(Clone, Debug, Default)]
pub(super) struct Sweeper(Arc<AtomicU32>);

impl Sweeper {
    /// Longer than a sweep can need, so that one on a dead connection does not keep it for ever.
    pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

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
            match timeout(Self::TIMEOUT, sweep).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => log::store_failed("sweep", &error.into()),
                Err(_) => log::store_slow("sweep"),
            }
        });
    }
}
