//! Keeps other people's panics where they happen.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::util::log;

/// A panic was caught, and logged.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Runs `code` of the application.
///
/// What it leaves behind is not looked at again by the layer, so it may be broken.
pub(crate) fn catch<T>(place: &'static str, code: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        log::panicked(place, &*payload);
        // A payload may panic when it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        Panicked
    })
}

/// Runs a hook of the application.
pub(crate) fn caught(place: &'static str, hook: impl FnOnce()) {
    let _ = catch(place, hook);
}

pin_project! {
    /// A future of the application, and the code that makes it, whose panic is an answer too.
    pub(crate) struct Guarded<C, F> {
        place: &'static str,
        start: Option<C>,
        #[pin]
        future: Option<F>,
    }
}

impl<C, F> Guarded<C, F> {
    pub(crate) fn new(place: &'static str, start: C) -> Self {
        Self {
            place,
            start: Some(start),
            future: None,
        }
    }
}

impl<C: FnOnce() -> F, F: Future> Future for Guarded<C, F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = catch(this.place, || {
            if let Some(start) = this.start.take() {
                this.future.set(Some(start()));
            }
            match this.future.as_mut().as_pin_mut() {
                Some(future) => future.poll(cx),
                None => Poll::Pending,
            }
        });
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panicked) => {
                // What panicked may do it again when it is dropped.
                let _ = catch(this.place, || this.future.set(None));
                Poll::Ready(Err(panicked))
            }
        }
    }
}
