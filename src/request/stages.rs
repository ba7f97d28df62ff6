//! One box for the two halves of a run: the one that may be dropped, and the one that must finish.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;

use crate::delivery::Delivery;

/// A run that holds nothing yet. Dropping it ends it.
pub(crate) struct Undecided<T>(Pin<Box<dyn Stages<T> + Send>>);

/// A run whose claim is held. Dropped, it is moved, not restarted, to a task, and finishes there.
pub(crate) struct Granted<T: 'static> {
    /// Out of its place while it is polled: one that panics must not be moved to a task.
    stages: Option<Pin<Box<dyn Stages<T> + Send>>>,
    /// Remembered when the run was first pending: a drop may happen anywhere.
    runtime: Option<Handle>,
    delivery: Delivery,
}

/// A run after its first step.
pub(crate) enum Begun<T: 'static> {
    Undecided(Undecided<T>),
    Granted(Granted<T>),
    Over(T),
}

/// What the first half came to: a claim, and what goes with it.
pub(crate) trait Claim {
    fn delivery(&self) -> &Delivery;
}

impl<T: 'static> Undecided<T> {
    /// `decide` first; `handle` is made from what it was granted, in the same box.
    pub(crate) fn new<C, H>(
        decide: impl Future<Output = Result<C, T>> + Send + 'static,
        handle: fn(C) -> H,
    ) -> Self
    where
        C: Claim + 'static,
        H: Future<Output = T> + Send + 'static,
    {
        Self(Box::pin(Run::Deciding { decide, handle }))
    }

    /// The delivery that is granted, or how it ended without. Not to be polled again after it was
    /// ready.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Delivery, T>> {
        self.0.as_mut().poll_decide(cx)
    }

    /// After [`poll`](Self::poll) said which delivery was granted.
    pub(crate) fn granted(self, delivery: Delivery) -> Granted<T> {
        Granted {
            stages: Some(self.0),
            runtime: None,
            delivery,
        }
    }
}

impl<T: 'static> Granted<T> {
    /// A run that was decided before there was a box for it.
    pub(crate) fn new(
        handle: impl Future<Output = T> + Send + 'static,
        delivery: Delivery,
    ) -> Self {
        Self {
            stages: Some(Box::pin(AtOnce { handle })),
            runtime: None,
            delivery,
        }
    }

    /// Not to be polled again after it was ready.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        let Some(mut stages) = self.stages.take() else {
            return Poll::Pending;
        };
        if let Poll::Ready(ended) = stages.as_mut().poll_handle(cx) {
            return Poll::Ready(ended);
        }
        self.stages = Some(stages);
        self.runtime = self.runtime.take().or_else(|| Handle::try_current().ok());
        Poll::Pending
    }

    pub(crate) fn delivery(&self) -> &Delivery {
        &self.delivery
    }
}

impl<T: 'static> Drop for Granted<T> {
    fn drop(&mut self) {
        if let (Some(mut stages), Some(runtime)) = (self.stages.take(), &self.runtime) {
            self.delivery.detach();
            runtime.spawn(async move {
                std::future::poll_fn(|cx| stages.as_mut().poll_handle(cx).map(drop)).await;
            });
        }
    }
}

trait Stages<T> {
    fn poll_decide(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Delivery, T>>;

    fn poll_handle(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T>;
}

pin_project! {
    #[project = RunProject]
    enum Run<D, C, H> {
        Deciding { #[pin] decide: D, handle: fn(C) -> H },
        Handling { #[pin] handle: H },
    }
}

impl<D, C, H, T> Stages<T> for Run<D, C, H>
where
    D: Future<Output = Result<C, T>>,
    C: Claim,
    H: Future<Output = T>,
{
    fn poll_decide(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Delivery, T>> {
        let (delivery, handle) = match self.as_mut().project() {
            // `Undecided` is gone by then.
            RunProject::Handling { .. } => return Poll::Pending,
            RunProject::Deciding { decide, handle } => match ready!(decide.poll(cx)) {
                Err(ended) => return Poll::Ready(Err(ended)),
                Ok(claim) => (claim.delivery().clone(), handle(claim)),
            },
        };
        self.set(Self::Handling { handle });
        Poll::Ready(Ok(delivery))
    }

    fn poll_handle(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.project() {
            RunProject::Handling { handle } => handle.poll(cx),
            // `Granted` is made of what was granted alone.
            RunProject::Deciding { .. } => Poll::Pending,
        }
    }
}

pin_project! {
    /// The second half alone.
    struct AtOnce<H> {
        #[pin]
        handle: H,
    }
}

impl<H: Future<Output = T>, T> Stages<T> for AtOnce<H> {
    fn poll_decide(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<Delivery, T>> {
        // It was decided before.
        Poll::Pending
    }

    fn poll_handle(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.project().handle.poll(cx)
    }
}
