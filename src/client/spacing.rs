use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use tokio::time::Instant;

use crate::{event::TaskId, util::lock};

/// Keeps questions about one task apart, for everybody who shares a client.
///
/// The provider answers 3 a second and task at most:
/// <https://docs.kie.ai/suno-api/get-music-details>.
#[derive(Default)]
pub(super) struct Spacing(Mutex<State>);

#[derive(Default)]
struct State {
    /// When a task may be asked about again.
    next: HashMap<TaskId, Instant>,
    /// The same in the order of asking, to forget what is over.
    asked: VecDeque<(Instant, TaskId)>,
}

impl Spacing {
    /// Two a second, because a poll that has its turn does not wait here, and there is one of those
    /// in three seconds at most.
    const APART: Duration = Duration::from_millis(500);

    /// When the task may be asked about; the next one may so later.
    pub(super) fn reserve(&self, task: &TaskId) -> Instant {
        let now = Instant::now();
        let mut state = lock(&self.0);
        state.forget(now);
        let due = state.next.get(task).map_or(now, |next| now.max(*next));
        let next = due + Self::APART;
        state.next.insert(task.clone(), next);
        state.asked.push_back((next, task.clone()));
        due
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        while let Some((over, task)) = self.asked.front().filter(|it| it.0 <= now) {
            if self.next.get(task) == Some(over) {
                self.next.remove(task);
            }
            self.asked.pop_front();
        }
        // What a burst has made large does not stay so.
        if self.asked.is_empty() && self.asked.capacity() > 1024 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_about_one_task_is_spread_and_others_are_not_held_back() {
        let spacing = Spacing::default();
        let (hot, other) = (TaskId::new("hot").unwrap(), TaskId::new("other").unwrap());
        let now = Instant::now();
        let waits = [0, 1, 2, 3].map(|_| spacing.reserve(&hot) - now);
        assert_eq!(waits, [0, 1, 2, 3].map(|n| n * Spacing::APART));
        assert_eq!(spacing.reserve(&other), now);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_is_forgotten() {
        let spacing = Spacing::default();
        for number in 0..10_000 {
            spacing.reserve(&TaskId::new(number.to_string()).unwrap());
        }
        tokio::time::advance(Spacing::APART).await;
        spacing.reserve(&TaskId::new("last").unwrap());
        let state = spacing.0.lock().unwrap();
        assert_eq!((state.next.len(), state.asked.len()), (1, 1));
        assert!(state.asked.capacity() <= 1024);
    }
}
