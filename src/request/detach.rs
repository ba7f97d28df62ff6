use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

use crate::delivery::arrival::Arrival;

/// The handling of an event, polled in place for as long as somebody does.
///
/// Dropped before the claim is granted it ends. Dropped afterwards it is moved, not restarted, to a
/// task, and finishes there.
pub(crate) struct Detachable<T: 'static> {
    future: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    /// Remembered when the future was first pending: a drop may happen anywhere.
    runtime: Option<Handle>,
    arrival: Arc<Arrival>,
}

impl<T> Detachable<T> {
    pub(crate) fn new(
        arrival: Arc<Arrival>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        Self {
            future: Some(Box::pin(future)),
            runtime: None,
            arrival,
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

    pub(crate) fn is_granted(&self) -> bool {
        self.arrival.is_granted()
    }

    pub(crate) fn arrival(&self) -> &Arrival {
        &self.arrival
    }
}

impl<T: 'static> Drop for Detachable<T> {
    fn drop(&mut self) {
        if !self.is_granted() {
            return;
        }
        if let (Some(future), Some(runtime)) = (self.future.take(), &self.runtime) {
            self.arrival.detach();
            runtime.spawn(async move { drop(future.await) });
        }
    }
}
