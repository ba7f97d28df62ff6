use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    entries::{Entered, Kept, State},
    pace::{InvalidPace, Pace},
    watched::{Listener, Watch, Watched},
};
use crate::{
    event::TaskId,
    product::{DefaultEvent, Event},
    util::{lock, log},
};

/// The tasks that are asked about until their outcome is delivered. Cheap to clone.
///
/// It can be made before the [`Reconciler`](crate::Reconciler) that watches it, which needs the
/// mounted service. A list belongs to one reconciler.
pub struct Watchlist<E: Event = DefaultEvent>(pub(super) Arc<Shared<E>>);

pub(super) struct Shared<E: Event> {
    pub(super) pace: Pace,
    state: Mutex<State<E>>,
    /// Notified when there may be something to do sooner than before.
    pub(super) sooner: Notify,
}

impl<E: Event> Watchlist<E> {
    /// An empty list.
    ///
    /// # Errors
    ///
    /// [`InvalidPace`] when the pace breaks a promise; see [`Pace::check`].
    pub fn new(pace: Pace) -> Result<Self, InvalidPace> {
        pace.check()?;
        Ok(Self::with(pace))
    }

    fn with(pace: Pace) -> Self {
        Self(Arc::new(Shared {
            pace,
            state: Mutex::new(State::new()),
            sooner: Notify::new(),
        }))
    }

    /// Watches a task until its outcome is delivered: right after it was submitted, or when
    /// something about it is in doubt. The first question comes after the shortest pause.
    ///
    /// A task that is watched already stays one watch with its deadline. Never blocks, so it fits
    /// into a hook.
    pub fn watch(&self, task: &TaskId) -> Watch<E> {
        let (sender, ended) = oneshot::channel();
        self.enter(task, self.first_pause(), Some(Listener::One(sender)), None);
        Watch(ended)
    }

    /// Watches many tasks, as after a restart, `at_once` at a time: the next is taken from `tasks`
    /// when one has ended. The first question about each comes at once. Calls `ended` for each.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future takes no more tasks; those that were taken stay watched.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use suno_callback::{TaskId, reconcile::{Watched, Watchlist}};
    /// # async fn demo(watchlist: Watchlist, open_tasks: Vec<TaskId>) {
    /// watchlist.watch_all(open_tasks, 1_000, |task, watched| {
    ///     if let Watched::Expired(why) = watched {
    ///         eprintln!("{task}: {why:?}");
    ///     }
    /// }).await;
    /// # }
    /// ```
    pub async fn watch_all(
        &self,
        tasks: impl IntoIterator<Item = TaskId>,
        at_once: usize,
        mut ended: impl FnMut(&TaskId, Watched<E>),
    ) {
        let (sender, mut ends) = mpsc::unbounded_channel();
        let mut tasks = tasks.into_iter();
        let mut open = 0;
        loop {
            for task in tasks.by_ref().take(at_once.max(1).saturating_sub(open)) {
                let listener = Listener::All(sender.clone());
                self.enter(&task, Duration::ZERO, Some(listener), None);
                open += 1;
            }
            if open == 0 {
                return;
            }
            if let Some((task, watched)) = ends.recv().await {
                open -= 1;
                ended(&task, watched);
            }
        }
    }

    /// How many tasks are watched.
    pub fn len(&self) -> usize {
        self.state().tasks.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.0.pace
    }

    fn first_pause(&self) -> Duration {
        self.pace().pauses().next(self.pace())
    }

    /// Keeps what could not be confirmed. False when there is no room for it.
    pub(crate) fn keep(&self, task: &TaskId, kept: Kept<E>) -> bool {
        self.enter(task, self.first_pause(), None, Some(kept))
    }

    /// The outcome of the task is delivered: nobody has to ask any more about what was kept.
    pub(crate) fn forget(&self, task: &TaskId) {
        let mut state = self.state();
        let only_kept = |it: &Entered<E>| it.listeners.is_empty() && it.kept.is_some();
        // One that is under way ends by itself.
        if state
            .tasks
            .get(task)
            .is_some_and(|it| only_kept(it) && it.position.is_some())
        {
            let forgotten = state.remove(task);
            drop(state); // before the application's handler is dropped
            drop(forgotten);
            self.0.sooner.notify_one();
        }
    }

    /// Whether the task is on the list now.
    fn enter(
        &self,
        task: &TaskId,
        pause: Duration,
        listener: Option<Listener<E>>,
        kept: Option<Kept<E>>,
    ) -> bool {
        let mut state = self.state();
        let is_full = state.tasks.len() >= self.0.pace.tasks;
        let is_stopped = state.stopped;
        let refusal = match state.tasks.get_mut(task) {
            _ if is_stopped => Watched::Stopped,
            Some(entered) => {
                let spare = entered.join(listener, kept);
                drop(state); // before the application's handler is dropped
                drop(spare);
                return true;
            }
            None if is_full => Watched::Refused,
            None => {
                state.insert(task, &self.0.pace, pause, listener, kept);
                self.0.sooner.notify_one();
                return true;
            }
        };
        state.meters.ended(refusal.as_str());
        drop(state);
        log::watch_ended(task.as_str(), refusal.as_str());
        if let Some(listener) = listener {
            listener.tell(task, refusal);
        }
        false
    }

    /// Ends all watches but those that are running, which end themselves.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        let waiting = state.tasks.iter().filter(|(_, it)| it.position.is_some());
        let waiting: Vec<_> = waiting.map(|(task, _)| task.clone()).collect();
        for task in waiting {
            state.end(&task, Watched::Stopped);
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State<E>> {
        lock(&self.0.state)
    }
}

impl<E: Event> Clone for Watchlist<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E: Event> Default for Watchlist<E> {
    fn default() -> Self {
        Self::with(Pace::default())
    }
}

impl<E: Event> fmt::Debug for Watchlist<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchlist")
            .field("pace", &self.0.pace)
            .field("watched", &self.len())
            .finish_non_exhaustive()
    }
}
