//! What keeps a flood of callbacks off the provider's API, and a limit of ours from costing an event.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::questions::{FRESH, Questions};
use crate::{
    config::Limits,
    confirm::{Confirmation, ErasedConfirm},
    event::Stage,
    product::{Event, Product},
    util::timer::by,
};

/// A [`Confirm`](crate::Confirm) behind its queue.
pub(crate) struct Confirmer<P: Product> {
    questions: Questions<P>,
    /// How many may wait for the truth about one task.
    waiters: usize,
}

impl<P: Product> Confirmer<P> {
    pub(crate) fn new(source: Arc<dyn ErasedConfirm<P>>, limits: &Limits) -> Self {
        Self {
            questions: Questions::new(source, limits),
            waiters: limits.waiters_per_slot,
        }
    }

    /// The truth about the task of `reported`, where it is known within `budget`.
    pub(crate) async fn confirmed(
        &self,
        reported: &P::Event,
        budget: Duration,
        deadline: Instant,
    ) -> Result<P::Event, ConfirmError> {
        let end = deadline.min(Instant::now() + budget);
        let mut asked = self
            .questions
            .ask(reported, budget)
            .ok_or(ConfirmError::Crowded)?;
        if asked.waiting() > self.waiters {
            return Err(ConfirmError::Crowded);
        }
        let mut learned = Learned::new(reported);
        loop {
            let answer = by(end, asked.answer()).await.flatten();
            let Some((answer, at)) = answer else {
                return learned.at_the_end();
            };
            match learned.weigh(answer) {
                Next::Settled(record) => return Ok(record),
                Next::Over => return learned.at_the_end(),
                Next::Again => {}
            }
            let paused = by(end, sleep_until(at + FRESH)).await;
            if paused.is_none() || Instant::now() >= end {
                return learned.at_the_end();
            }
            let again = self.questions.ask(reported, budget);
            asked = again.ok_or(ConfirmError::Crowded)?;
        }
    }
}

/// What the answers so far say about a claim.
struct Learned<'a, E> {
    reported: &'a E,
    /// The last record, where it says that the task is over and names no result, and how often in
    /// a row it did.
    finished: Option<(E, usize)>,
    retries: usize,
}

enum Next<E> {
    Settled(E),
    /// No further answer would help.
    Over,
    Again,
}

impl<'a, E: Event> Learned<'a, E> {
    /// How often the provider is asked once more after it could not be asked.
    const RETRIES: usize = 1;

    fn new(reported: &'a E) -> Self {
        Self {
            reported,
            finished: None,
            retries: Self::RETRIES,
        }
    }

    fn weigh(&mut self, answer: Confirmation<E>) -> Next<E> {
        match answer {
            Confirmation::Confirmed(record) if !self.is_about(&record) => {
                self.finished = None;
                Next::Again
            }
            Confirmation::Confirmed(record) => self.weigh_record(record),
            Confirmation::Pending => self.pending(),
            Confirmation::Unavailable => match self.retries.checked_sub(1) {
                Some(retries) => {
                    self.retries = retries;
                    Next::Again
                }
                None => Next::Over,
            },
        }
    }

    fn weigh_record(&mut self, record: E) -> Next<E> {
        match record.stage() {
            _ if record.is_final() => Next::Settled(record),
            Stage::Progress { step, .. } if self.is_answered_by(step) => Next::Settled(record),
            Stage::Inconsistent { .. } => self.finished(record),
            _ => self.pending(),
        }
    }

    /// The record is over without a result. It may fill in: a reported result has all of its time,
    /// anything else until the record repeats itself.
    fn finished(&mut self, record: E) -> Next<E> {
        let times = self.finished.take().map_or(1, |(_, times)| times + 1);
        if times > 1 && !self.reported.is_final() {
            return Next::Settled(record);
        }
        self.finished = Some((record, times));
        Next::Again
    }

    /// What claims nothing is not worth waiting for.
    fn pending(&mut self) -> Next<E> {
        self.finished = None;
        match self.reported.stage() {
            Stage::Unknown => Next::Over,
            _ => Next::Again,
        }
    }

    fn at_the_end(self) -> Result<E, ConfirmError> {
        match self.finished {
            Some((record, times)) if times > 1 => Ok(record),
            Some((record, _)) if record.stage() == self.reported.stage() => Ok(record),
            _ => Err(ConfirmError::Unknown),
        }
    }

    /// Whether a record that is so far says what was to be learned.
    fn is_answered_by(&self, step: u8) -> bool {
        match self.reported.stage() {
            Stage::Progress { step: reported, .. } => 0 < reported && reported <= step,
            Stage::Unknown => 0 < step,
            _ => false,
        }
    }

    fn is_about(&self, record: &E) -> bool {
        let subject = |it: &E| (it.product().name(), it.task_id().clone());
        subject(record) == subject(self.reported)
    }
}

/// Why the truth is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfirmError {
    /// The provider does not know yet, or could not be asked.
    Unknown,
    /// Too many wait for it.
    Crowded,
}

impl<P: Product> fmt::Debug for Confirmer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmer").finish_non_exhaustive()
    }
}
