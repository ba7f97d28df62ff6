//! Which task on a list is asked about next.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::event::TaskId;

/// A position in the queue: when its task is due, and a number that no other position has.
pub(super) type Position = (Instant, u64);

/// Tasks that wait until they are due, and then for a turn.
#[derive(Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Position, (TaskId, IsNew)>,
    /// Due, and never asked about: in the order in which they were put here, because the jitter of
    /// the first pause makes none of them newer.
    new: BTreeMap<u64, (Instant, TaskId)>,
    /// Due, and asked about before.
    again: BTreeMap<Position, TaskId>,
    /// How many were put here so far.
    count: u64,
    turns: u64,
}

type IsNew = bool;

impl Queue {
    pub(super) fn put(&mut self, task: TaskId, due: Instant, is_new: IsNew) -> Position {
        self.count += 1;
        let position = (due, self.count);
        self.waiting.insert(position, (task, is_new));
        position
    }

    pub(super) fn remove(&mut self, position: &Position) {
        self.waiting.remove(position);
        self.new.remove(&position.1);
        self.again.remove(position);
    }

    /// Whether a task is due, and otherwise when the next one will be.
    pub(super) fn due(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > now {
                break;
            }
            match first.remove_entry() {
                (position, (task, true)) => drop(self.new.insert(position.1, (position.0, task))),
                (position, (task, false)) => drop(self.again.insert(position, task)),
            }
        }
        match self.new.is_empty() && self.again.is_empty() {
            true => Err(self
                .waiting
                .first_key_value()
                .map(|(position, _)| position.0)),
            false => Ok(()),
        }
    }

    /// Takes one of those that are due: in turn the newest of the new ones, and whoever has been due
    /// for the longest.
    pub(super) fn take(&mut self) -> Option<TaskId> {
        self.turns = self.turns.wrapping_add(1);
        let is_for_the_newest = self.turns % 2 == 1;
        if is_for_the_newest && let Some((_, (_, newest))) = self.new.pop_last() {
            return Some(newest);
        }
        let new = self.new.first_key_value().map(|(_, (due, _))| *due);
        let again = self.again.first_key_value().map(|(position, _)| position.0);
        match (new, again) {
            (Some(new), Some(again)) if again <= new => self.take_again(),
            (Some(_), _) => self.new.pop_first().map(|(_, (_, task))| task),
            (None, _) => self.take_again(),
        }
    }

    fn take_again(&mut self) -> Option<TaskId> {
        self.again.pop_first().map(|(_, task)| task)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn task(id: impl ToString) -> TaskId {
        TaskId::new(id.to_string()).unwrap()
    }

    #[test]
    fn every_second_turn_is_the_newest_one_s_and_every_other_the_oldest_one_s() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for number in 0..3 {
            queue.put(task(format!("again-{number}")), now, false);
        }
        for number in 0..3 {
            queue.put(task(format!("new-{number}")), now, true);
        }
        queue.due(now).unwrap();
        let taken: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        let names = ["new-2", "again-0", "new-1", "again-1", "new-0", "again-2"];
        assert_eq!(taken, names.map(task));
    }

    #[test]
    fn the_newest_is_the_one_that_came_last_and_not_the_one_that_is_due_last() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        queue.put(task("first"), later, true);
        queue.put(task("last"), now, true);
        queue.due(later).unwrap();
        assert_eq!(queue.take(), Some(task("last")));
    }

    #[test]
    fn who_is_not_due_has_no_turn_and_who_left_neither() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        let gone = queue.put(task("gone"), now, true);
        queue.put(task("later"), later, true);
        queue.due(now).unwrap();
        queue.remove(&gone);
        assert_eq!(queue.due(now), Err(Some(later)));
        assert_eq!(queue.take(), None);
        assert_eq!(queue.due(later), Ok(()));
        assert_eq!(queue.take(), Some(task("later")));
        assert_eq!(queue.due(later), Err(None));
    }
}
