use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use super::{
    pace::Pace,
    watch::{Listener, Unsettled, Watch, Watched},
};
use crate::{
    event::TaskId,
    timer::{Backoff, by},
    trace,
};

/// The tasks that a [`Reconciler`](super::Reconciler) watches. Cheap to clone.
///
/// It can be made before the reconciler, which needs the mounted service, so that a hook of the
/// layer can put tasks on it:
///
/// ```
/// use suno_callback::client::{Pace, Watchlist};
/// use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer};
///
/// let watchlist = Watchlist::new(Pace::default());
/// let unconfirmed = watchlist.clone();
/// let layer = SunoCallbackLayer::new(SigningKey::new("the key of the settings page")?, MemoryStore::default())
///     .on_unconfirmed(move |event| drop(unconfirmed.watch(event.task_id())));
/// # let _ = layer;
/// # Ok::<(), suno_callback::InvalidKey>(())
/// ```
#[derive(Clone)]
pub struct Watchlist(Arc<Shared>);

struct Shared {
    pace: Pace,
    state: Mutex<State>,
    /// Notified when there may be something to do sooner than before.
    sooner: Notify,
}

#[derive(Default)]
struct State {
    watches: HashMap<TaskId, Entered>,
    /// Each watch is in here once, or is running.
    queue: BinaryHeap<Reverse<(Instant, u64, TaskId)>>,
    entered: u64,
    stopped: bool,
}

struct Entered {
    deadline: Instant,
    backoff: Backoff,
    listeners: Vec<Listener>,
}

/// What a poll came to.
pub(super) enum Step {
    Ended(Watched),
    Again(Unsettled),
}

impl Watchlist {
    /// An empty list.
    pub fn new(pace: Pace) -> Self {
        Self(Arc::new(Shared {
            pace,
            state: Mutex::default(),
            sooner: Notify::new(),
        }))
    }

    /// Watches a task until its outcome is delivered: right after it was submitted, or when
    /// something about it is in doubt. The first question comes after the shortest pause.
    ///
    /// A task that is watched already stays one watch with its deadline. Never blocks, so it fits
    /// into a hook.
    pub fn watch(&self, task: &TaskId) -> Watch {
        let (sender, ended) = oneshot::channel();
        self.enter(task, self.0.pace.backoff().pause(), Listener::One(sender));
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
    /// # use suno_callback::{TaskId, client::{Watched, Watchlist}};
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
        mut ended: impl FnMut(&TaskId, Watched),
    ) {
        let (sender, mut ends) = mpsc::unbounded_channel();
        let mut tasks = tasks.into_iter();
        let mut open = 0;
        loop {
            for task in tasks.by_ref().take(at_once.max(1).saturating_sub(open)) {
                self.enter(&task, Duration::ZERO, Listener::All(sender.clone()));
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
        self.state().watches.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.0.pace
    }

    fn enter(&self, task: &TaskId, pause: Duration, listener: Listener) {
        let mut state = self.state();
        let watched = state.watches.len();
        let stopped = state.stopped;
        match state.watches.entry(task.clone()) {
            _ if stopped => listener.tell(task, Watched::Stopped),
            Entry::Occupied(mut entered) => entered.get_mut().listen(listener),
            Entry::Vacant(_) if watched >= self.0.pace.tasks => {
                listener.tell(task, Watched::Refused);
            }
            Entry::Vacant(vacant) => {
                let task = vacant.key().clone();
                vacant.insert(Entered::new(&self.0.pace, listener));
                state.put(task, Instant::now() + pause);
                self.0.sooner.notify_one();
            }
        }
    }

    /// The next task whose time has come. Cancel safe.
    pub(super) async fn due(&self) -> Running {
        loop {
            let sooner = self.0.sooner.notified();
            let next = match self.state().next(Instant::now()) {
                Next::Due(task) => return Running::new(self, task),
                Next::At(next) => Some(next),
                Next::Nothing => None,
            };
            match next {
                Some(next) => drop(by(next, sooner).await),
                None => sooner.await,
            }
        }
    }

    /// Ends all watches but those that are running, which end themselves.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        let queue = std::mem::take(&mut state.queue);
        for Reverse((_, _, task)) in queue {
            state.end(&task, Watched::Stopped);
        }
    }

    fn settle(&self, task: &TaskId, step: Step) {
        let mut state = self.state();
        let why = match step {
            Step::Ended(watched) => return state.end(task, watched),
            Step::Again(why) => why,
        };
        let now = Instant::now();
        let stopped = state.stopped;
        match state.watches.get_mut(task) {
            None => {}
            Some(_) if stopped => state.end(task, Watched::Stopped),
            Some(entered) if entered.deadline <= now => state.end(task, Watched::Expired(why)),
            Some(entered) => {
                // The last question comes at the deadline.
                let next = (now + entered.backoff.pause()).min(entered.deadline);
                state.put(task.clone(), next);
                self.0.sooner.notify_one();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Watchlist {
    fn default() -> Self {
        Self::new(Pace::default())
    }
}

impl fmt::Debug for Watchlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchlist")
            .field("pace", &self.0.pace)
            .field("watched", &self.len())
            .finish_non_exhaustive()
    }
}

enum Next {
    Due(TaskId),
    At(Instant),
    Nothing,
}

impl State {
    fn put(&mut self, task: TaskId, at: Instant) {
        self.entered += 1;
        self.queue.push(Reverse((at, self.entered, task)));
    }

    fn next(&mut self, now: Instant) -> Next {
        match self.queue.peek_mut() {
            None => Next::Nothing,
            Some(first) if first.0.0 > now => Next::At(first.0.0),
            Some(first) => {
                let Reverse((_, _, task)) = std::collections::binary_heap::PeekMut::pop(first);
                Next::Due(task)
            }
        }
    }

    fn end(&mut self, task: &TaskId, watched: Watched) {
        let Some(entered) = self.watches.remove(task) else {
            return;
        };
        match watched {
            Watched::Expired(_) => trace::watch_failed(task, watched.as_str()),
            _ => trace::watch_ended(task, watched.as_str()),
        }
        for listener in entered.listeners {
            listener.tell(task, watched.clone());
        }
    }
}

impl Entered {
    fn new(pace: &Pace, listener: Listener) -> Self {
        Self {
            deadline: pace.deadline(),
            backoff: pace.backoff(),
            listeners: vec![listener],
        }
    }

    /// A hook may watch the same task many times and drop every watch, so who has gone is
    /// forgotten.
    fn listen(&mut self, listener: Listener) {
        self.listeners.retain(Listener::is_there);
        self.listeners.push(listener);
    }
}

/// A watch that is being polled. Dropping it puts the task back.
pub(super) struct Running {
    list: Watchlist,
    task: TaskId,
    step: Step,
}

impl Running {
    fn new(list: &Watchlist, task: TaskId) -> Self {
        Self {
            list: list.clone(),
            task,
            step: Step::Again(Unsettled::Unreachable),
        }
    }

    pub(super) fn task(&self) -> &TaskId {
        &self.task
    }

    pub(super) fn settle(mut self, step: Step) {
        self.step = step;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let step = std::mem::replace(&mut self.step, Step::Again(Unsettled::Unreachable));
        self.list.settle(&self.task, step);
    }
}
