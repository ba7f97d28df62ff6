//! What stands on a list: who is watched, until when, and what was found so far.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    pace::{Pace, Pauses},
    queue::{Position, Queue},
    run::HandOver,
    watched::{Listener, Unsettled, Watched},
};
use crate::{event::TaskId, metrics::WatchMeters, product::Event, util::log};

/// All of it, behind one lock.
pub(super) struct State<E: Event> {
    pub(super) tasks: HashMap<TaskId, Entered<E>>,
    pub(super) queue: Queue,
    /// When each task's time is over.
    pub(super) ends: BTreeMap<Position, TaskId>,
    pub(super) entered: u64,
    pub(super) stopped: bool,
    /// Whether somebody asks.
    pub(super) driven: bool,
    pub(super) meters: WatchMeters,
}

/// One task on the list.
pub(super) struct Entered<E: Event> {
    /// Where it is in `ends`.
    pub(super) end: Position,
    /// Where it is in the queue; `None` while it is asked about or handed over.
    pub(super) position: Option<Position>,
    pub(super) pauses: Pauses,
    pub(super) listeners: Vec<Listener<E>>,
    pub(super) found: Found,
    pub(super) kept: Option<Kept<E>>,
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

impl<E: Event> State<E> {
    pub(super) fn new() -> Self {
        Self {
            tasks: HashMap::new(),
            queue: Queue::default(),
            ends: BTreeMap::new(),
            entered: 0,
            stopped: false,
            driven: false,
            meters: WatchMeters::new(),
        }
    }

    pub(super) fn insert(
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
            position: None,
            pauses: pace.pauses(),
            listeners: listener.into_iter().collect(),
            found: Found::NOTHING,
            kept,
        };
        self.tasks.insert(task.clone(), entered);
        self.meters.watched.raise();
        self.put(task, (Instant::now() + pause).min(deadline), true);
    }

    pub(super) fn put(&mut self, task: &TaskId, due: Instant, is_new: bool) {
        if let Some(entered) = self.tasks.get_mut(task) {
            entered.position = Some(self.queue.put(task.clone(), due, is_new));
        }
    }

    pub(super) fn next_end(&self, grace: Duration) -> Option<Instant> {
        let first = self.ends.first_key_value();
        first.map(|(end, _)| end.0 + grace)
    }

    /// Ends those that had no turn in time. What is under way ends by itself.
    pub(super) fn expire(&mut self, now: Instant, grace: Duration) {
        while let Some(first) = self.ends.first_entry() {
            if first.key().0 + grace > now {
                return;
            }
            let task = first.remove();
            let Some(entered) = self.tasks.get(&task) else {
                continue;
            };
            if entered.position.is_some() {
                self.end(&task, Watched::Expired(entered.found.last));
            }
        }
    }

    pub(super) fn remove(&mut self, task: &TaskId) -> Option<Entered<E>> {
        let entered = self.tasks.remove(task)?;
        self.meters.watched.lower();
        self.ends.remove(&entered.end);
        if let Some(position) = &entered.position {
            self.queue.remove(position);
        }
        // What a flood has made large does not stay so.
        if self.tasks.len() < self.tasks.capacity() / 8 {
            self.tasks.shrink_to(2 * self.tasks.len());
        }
        Some(entered)
    }

    pub(super) fn end(&mut self, task: &TaskId, watched: Watched<E>) {
        let Some(entered) = self.remove(task) else {
            return;
        };
        self.meters.ended(watched.as_str());
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
    pub(super) const NOTHING: Self = Self {
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
    pub(super) fn join(
        &mut self,
        listener: Option<Listener<E>>,
        kept: Option<Kept<E>>,
    ) -> Option<Kept<E>> {
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
