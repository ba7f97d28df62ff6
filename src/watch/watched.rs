use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::{mpsc, oneshot};

use crate::{event::TaskId, product::DefaultEvent};

/// How a watch ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Watched<E = DefaultEvent> {
    /// The poll found this record, and the handler took it. A record that says that the task is
    /// over and names no result is handed over too.
    Delivered(E),
    /// The poll found this record, and a callback or another process had delivered the same.
    AlreadyDelivered(E),
    /// The poll found this record, and the task's success was confirmed and delivered before: a
    /// failure after a success.
    Late(E),
    /// The poll found this record, and it contradicts what was handed over without being confirmed:
    /// another result, or no success at all. Reported to
    /// [`on_conflict`](crate::SunoCallbackLayer::on_conflict); the handler did not see the record.
    Conflict(E),
    /// The time is over, and the outcome is not delivered. Nobody asks any more.
    Expired(Unsettled),
    /// The layer was drained, or the reconciler dropped. Watch the task again after the restart.
    Stopped,
    /// As many tasks as [`Pace::tasks`](super::Pace::tasks) are on the list already.
    Refused,
}

impl<E> Watched<E> {
    /// A short constant name for logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::AlreadyDelivered(_) => "already_delivered",
            Self::Late(_) => "late",
            Self::Conflict(_) => "conflict",
            Self::Expired(Unsettled::NotAsked) => "expired_not_asked",
            Self::Expired(Unsettled::Pending) => "expired_pending",
            Self::Expired(Unsettled::Inconsistent) => "expired_inconsistent",
            Self::Expired(Unsettled::Unreachable) => "expired_unreachable",
            Self::Expired(Unsettled::NotAccepted) => "expired_not_accepted",
            Self::Stopped => "stopped",
            Self::Refused => "refused",
        }
    }

    /// Whether what the record says has reached a handler.
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered(_) | Self::AlreadyDelivered(_))
    }
}

/// What the last question found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unsettled {
    /// Nothing: there was no turn for a question. More is watched than the rate can ask about; see
    /// [`Pace`](super::Pace).
    NotAsked,
    /// The provider had no outcome.
    Pending,
    /// The record contradicts itself, and not often enough yet to be handed over.
    Inconsistent,
    /// The provider's API gave no answer to go by.
    Unreachable,
    /// There was an outcome, and the handler failed, or another still ran, or the store was away.
    NotAccepted,
}

/// The end of a watch: a future that need not be awaited.
///
/// # Cancellation safety
///
/// Dropping it does not end the watch.
#[derive(Debug)]
#[must_use = "the watch goes on without it; drop it with `let _ =` or `drop` where its end does not matter"]
pub struct Watch<E = DefaultEvent>(pub(super) oneshot::Receiver<Watched<E>>);

impl<E> Future for Watch<E> {
    type Output = Watched<E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Watched<E>> {
        let ended = Pin::new(&mut self.0).poll(cx);
        ended.map(|ended| ended.unwrap_or(Watched::Stopped))
    }
}

/// Somebody who wants to know how a watch ends.
pub(super) enum Listener<E> {
    One(oneshot::Sender<Watched<E>>),
    All(mpsc::UnboundedSender<(TaskId, Watched<E>)>),
}

impl<E> Listener<E> {
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::One(sender) => !sender.is_closed(),
            Self::All(sender) => !sender.is_closed(),
        }
    }

    pub(super) fn tell(self, task: &TaskId, watched: Watched<E>) {
        match self {
            Self::One(sender) => drop(sender.send(watched)),
            Self::All(sender) => drop(sender.send((task.clone(), watched))),
        }
    }
}
