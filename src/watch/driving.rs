//! Whoever asks about a list: the right to, and the task that is asked about.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Watched, Watchlist,
    entries::{Found, Kept, State},
};
use crate::{event::TaskId, product::Event, util::timer::by};

/// The right to ask about a list.
pub(crate) struct Driving<E: Event> {
    list: Watchlist<E>,
    only_while_needed: bool,
    is_over: bool,
}

impl<E: Event> Driving<E> {
    /// Gives the right back where nothing is left to ask about: under the lock, so that whoever puts
    /// the next task on the list finds it free.
    fn is_over(&mut self, state: &mut State<E>) -> bool {
        if self.only_while_needed && state.tasks.is_empty() {
            self.is_over = true;
            state.driven = false;
        }
        self.is_over
    }
}

impl<E: Event> Drop for Driving<E> {
    fn drop(&mut self) {
        if !self.is_over {
            self.list.state().driven = false;
        }
    }
}

/// A task that is asked about or handed over. Dropping it puts the task back.
pub(crate) struct Running<E: Event> {
    list: Watchlist<E>,
    task: TaskId,
    pub(crate) found: Found,
    pub(crate) kept: Option<Kept<E>>,
    ended: Option<Watched<E>>,
}

impl<E: Event> Running<E> {
    pub(crate) fn task(&self) -> &TaskId {
        &self.task
    }

    pub(crate) fn end(mut self, watched: Watched<E>) {
        self.ended = Some(watched);
    }
}

impl<E: Event> Drop for Running<E> {
    fn drop(&mut self) {
        let step = match self.ended.take() {
            Some(watched) => Step::Ended(watched),
            None => Step::Again(self.found),
        };
        self.list.settle(&self.task, step, self.kept.take());
    }
}

/// What a poll came to.
pub(crate) enum Step<E> {
    Ended(Watched<E>),
    Again(Found),
}

impl<E: Event> Watchlist<E> {
    /// The right to ask about this list, unless somebody has it. It ends by itself with the last
    /// task where `only_while_needed`.
    pub(crate) fn drive(&self, only_while_needed: bool) -> Option<Driving<E>> {
        let mut state = self.state();
        let is_free = !std::mem::replace(&mut state.driven, true);
        is_free.then(|| Driving {
            list: self.clone(),
            only_while_needed,
            is_over: false,
        })
    }

    /// Completes when a task is due, and ends those whose time is over meanwhile. False when nothing
    /// is on a list that nobody waits for. Cancel safe.
    pub(crate) async fn due(&self, driving: &mut Driving<E>) -> bool {
        loop {
            let sooner = self.0.sooner.notified();
            let next = {
                let mut state = self.state();
                let now = Instant::now();
                state.expire(now, self.grace());
                if driving.is_over(&mut state) {
                    return false;
                }
                match state.queue.due(now) {
                    Ok(()) => return true,
                    Err(due) => due.into_iter().chain(state.next_end(self.grace())).min(),
                }
            };
            match next {
                Some(next) => drop(by(next, sooner).await),
                None => sooner.await,
            }
        }
    }

    /// When somebody's time is over next.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.state().next_end(self.grace())
    }

    /// Ends those whose time is over.
    pub(crate) fn expire(&self) {
        self.state().expire(Instant::now(), self.grace());
    }

    /// A task that is due.
    pub(crate) fn take(&self) -> Option<Running<E>> {
        let mut state = self.state();
        let now = Instant::now();
        state.expire(now, self.grace());
        let _ = state.queue.due(now);
        let task = state.queue.take()?;
        let entered = state.tasks.get_mut(&task)?;
        entered.position = None;
        Some(Running {
            list: self.clone(),
            found: entered.found,
            kept: entered.kept.take(),
            task,
            ended: None,
        })
    }

    /// How long after its deadline a task may wait for its last question.
    fn grace(&self) -> Duration {
        self.pace().longest
    }

    fn settle(&self, task: &TaskId, step: Step<E>, kept: Option<Kept<E>>) {
        self.0.sooner.notify_one();
        let mut state = self.state();
        let found = match step {
            Step::Ended(watched) => return state.end(task, watched),
            Step::Again(found) => found,
        };
        let now = Instant::now();
        let stopped = state.stopped;
        let Some(entered) = state.tasks.get_mut(task) else {
            return;
        };
        entered.found = found;
        entered.kept = entered.kept.take().or(kept);
        let deadline = entered.end.0;
        if stopped {
            return state.end(task, Watched::Stopped);
        }
        if deadline <= now {
            return state.end(task, Watched::Expired(found.last));
        }
        // The last question comes at the deadline.
        let next = (now + entered.pauses.next(&self.0.pace)).min(deadline);
        state.put(task, next, false);
    }
}
