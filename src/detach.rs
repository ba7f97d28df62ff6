use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

/// A future that finishes: polled in place for as long as somebody does, and moved, not restarted,
/// to a task when it is dropped while it was pending.
pub(crate) struct Detachable<T: 'static> {
    future: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    /// Remembered when the future was first pending: a drop may happen anywhere.
    runtime: Option<Handle>,
}

impl<T> Detachable<T> {
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            future: Some(Box::pin(future)),
            runtime: None,
        }
    }

    /// Not to be polled again after it was ready.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        // Out of its place while it is polled: one that panics must not be moved to a task.
        let Some(mut future) = self.future.take() else {
            return Poll::Pending;
        };
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            self.future = Some(future);
            self.runtime = self.runtime.take().or_else(|| Handle::try_current().ok());
        }
        polled
    }
}

impl<T: 'static> Drop for Detachable<T> {
    fn drop(&mut self) {
        if let (Some(future), Some(runtime)) = (self.future.take(), &self.runtime) {
            runtime.spawn(async move { drop(future.await) });
        }
    }
}
