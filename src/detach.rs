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
        let Some(future) = &mut self.future else {
            return Poll::Pending;
        };
        let polled = future.as_mut().poll(cx);
        match polled {
            Poll::Ready(_) => self.future = None,
            Poll::Pending if self.runtime.is_none() => self.runtime = Handle::try_current().ok(),
            Poll::Pending => {}
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
