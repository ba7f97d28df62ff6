use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use super::{
    pace::{InvalidPace, Pace, Pauses},
    queue::{Place, Queue},
    run::HandOver,
    watched::{Listener, Unsettled, Watch, Watched},
};
use crate::{
    event::TaskId,
    product::{DefaultEvent, Event},
    util::{log, timer::by},
};

/// The tasks that are asked about until their outcome is delivered. Cheap to clone.
///
/// It can be made before the [`Reconciler`](crate::Reconciler) that watches it, which needs the
/// mounted service. A list belongs to one reconciler.
pub struct Watchlist<E: Event = DefaultEvent>(Arc<Shared<E>>);

struct Shared<E: Event> {
    pace: Pace,
    state: Mutex<State<E>>,
    /// Notified when there may be something to do sooner than before.
    sooner: Notify,
}

struct State<E: Event> {
    tasks: HashMap<TaskId, Entered<E>>,
    queue: Queue,
    /// When each task's time is over.
    ends: BTreeMap<Place, TaskId>,
    entered: u64,
    stopped: bool,
    /// Whether somebody asks.
    driven: bool,
}

struct Entered<E: Event> {
    /// Where it is in `ends`.
    end: Place,
    /// Where it is in the queue; `None` while it is asked about or handed over.
    place: Option<Place>,
    pauses: Pauses,
    listeners: Vec<Listener<E>>,
    found: Found,
    kept: Option<Kept<E>>,
}

/// What the questions so far have found.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) last: Unsettled,
    /// How often in a row the record said that the task is over, and named no result.
    pub(crate) finished: u32,
}

/// What a layer could not confirm, with its own way to the handler.
pub(crate) struct Kept<E: Event> {
    pub(crate) hand_over: Box<dyn HandOver<E>>,
    /// The step of the progress that it waits for; `None` where it waits for the end.
    pub(crate) step: Option<u8>,
}

/// What a poll came to.
pub(crate) enum Step<E> {
    Ended(Watched<E>),
    Again(Found),
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
            .is_some_and(|it| only_kept(it) && it.place.is_some())
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
        drop(state);
        log::watch_ended(task.as_str(), refusal.as_str());
        if let Some(listener) = listener {
            listener.tell(task, refusal);
        }
        false
    }

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
        entered.place = None;
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

    /// Ends all watches but those that are running, which end themselves.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        let waiting = state.tasks.iter().filter(|(_, it)| it.place.is_some());
        let waiting: Vec<_> = waiting.map(|(task, _)| task.clone()).collect();
        for task in waiting {
            state.end(&task, Watched::Stopped);
        }
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

    fn state(&self) -> MutexGuard<'_, State<E>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
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

impl<E: Event> State<E> {
    fn new() -> Self {
        Self {
            tasks: HashMap::new(),
            queue: Queue::default(),
            ends: BTreeMap::new(),
            entered: 0,
            stopped: false,
            driven: false,
        }
    }

    fn insert(
        &mut self,
        task: &TaskId,
        pace: &Pace,
        pause: Duration,
        listener: Option<Listener<E>>,
        kept: Option<Kept<E>>,
    ) {
        let deadline = pace.deadline();
        self.entered += 1;
        let end = (deadline, self.entered);
        self.ends.insert(end, task.clone());
        let entered = Entered {
            end,
            place: None,
            pauses: pace.pauses(),
            listeners: listener.into_iter().collect(),
            found: Found::NOTHING,
            kept,
        };
        self.tasks.insert(task.clone(), entered);
        self.put(task, (Instant::now() + pause).min(deadline), true);
    }

    fn put(&mut self, task: &TaskId, due: Instant, is_new: bool) {
        if let Some(entered) = self.tasks.get_mut(task) {
            entered.place = Some(self.queue.put(task.clone(), due, is_new));
        }
    }

    fn next_end(&self, grace: Duration) -> Option<Instant> {
        let first = self.ends.first_key_value();
        first.map(|(end, _)| end.0 + grace)
    }

    /// Ends those that had no turn in time. What is under way ends by itself.
    fn expire(&mut self, now: Instant, grace: Duration) {
        while let Some(first) = self.ends.first_entry() {
            if first.key().0 + grace > now {
                return;
            }
            let task = first.remove();
            let Some(entered) = self.tasks.get(&task) else {
                continue;
            };
            if entered.place.is_some() {
                self.end(&task, Watched::Expired(entered.found.last));
            }
        }
    }

    fn remove(&mut self, task: &TaskId) -> Option<Entered<E>> {
        let entered = self.tasks.remove(task)?;
        self.ends.remove(&entered.end);
        if let Some(place) = &entered.place {
            self.queue.remove(place);
        }
        // What a flood has made large does not stay so.
        if self.tasks.len() < self.tasks.capacity() / 8 {
            self.tasks.shrink_to(2 * self.tasks.len());
        }
        Some(entered)
    }

    fn end(&mut self, task: &TaskId, watched: Watched<E>) {
        let Some(entered) = self.remove(task) else {
            return;
        };
        match watched {
            Watched::Expired(_) => log::watch_failed(task.as_str(), watched.as_str()),
            _ => log::watch_ended(task.as_str(), watched.as_str()),
        }
        for listener in entered.listeners {
            listener.tell(task, watched.clone());
        }
    }
}

impl Found {
    const NOTHING: Self = Self {
        last: Unsettled::NotAsked,
        finished: 0,
    };

    pub(crate) fn only(last: Unsettled) -> Self {
        Self { last, finished: 0 }
    }
}

impl<E: Event> Entered<E> {
    /// A hook may watch the same task many times and drop every watch, so who has gone is
    /// forgotten.
    fn join(&mut self, listener: Option<Listener<E>>, kept: Option<Kept<E>>) -> Option<Kept<E>> {
        self.listeners.retain(Listener::is_there);
        self.listeners.extend(listener);
        match self.kept {
            Some(_) => kept,
            None => {
                self.kept = kept;
                None
            }
        }
    }
}

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
