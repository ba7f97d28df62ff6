use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::{
    config::Limits,
    confirm::{Confirm, Confirmation, ErasedConfirm},
    event::{Meaning, VoiceEvent},
    process::questions::Questions,
    util::timer::by,
    watch::Watchlist,
};

/// The step `confirm`: a [`Confirm`] with what keeps a flood of callbacks off the provider's API,
/// and what could not be learned in time.
pub(crate) struct Confirmer {
    questions: Questions,
    /// How many may wait for the truth about one task.
    waiters: usize,
    pub(crate) kept: Watchlist,
}

impl Confirmer {
    /// How often the provider is asked once more after it could not be asked.
    const RETRIES: usize = 1;

    pub(crate) fn new(confirm: impl Confirm, limits: &Limits) -> Self {
        Self::with(Arc::new(confirm), limits, Watchlist::default())
    }

    fn with(source: Arc<dyn ErasedConfirm>, limits: &Limits, kept: Watchlist) -> Self {
        Self {
            questions: Questions::new(source, limits),
            waiters: limits.waiters_per_slot,
            kept,
        }
    }

    /// The same source under other limits.
    pub(crate) fn limited(&self, limits: &Limits) -> Self {
        Self::with(Arc::clone(self.source()), limits, self.kept.clone())
    }

    /// The same source that keeps on another list.
    pub(crate) fn keeping(&self, kept: Watchlist, limits: &Limits) -> Self {
        Self::with(Arc::clone(self.source()), limits, kept)
    }

    pub(crate) fn source(&self) -> &Arc<dyn ErasedConfirm> {
        self.questions.source()
    }

    /// The truth about the task of `claimed`, where it is known within `budget`.
    pub(crate) async fn truth(
        &self,
        claimed: &VoiceEvent,
        budget: Duration,
        deadline: Instant,
    ) -> Result<VoiceEvent, Doubt> {
        let end = deadline.min(Instant::now() + budget);
        let mut asked = self.questions.ask(claimed, budget).ok_or(Doubt::Crowded)?;
        if asked.waiting() > self.waiters {
            return Err(Doubt::Crowded);
        }
        let mut learned = Learned::new(claimed);
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
            let paused = by(end, sleep_until(at + Questions::FRESH)).await;
            if paused.is_none() || Instant::now() >= end {
                return learned.at_the_end();
            }
            let again = self.questions.ask(claimed, budget);
            asked = again.ok_or(Doubt::Crowded)?;
        }
    }
}

/// What the answers so far say about a claim.
struct Learned<'a> {
    claimed: &'a VoiceEvent,
    /// The last record, where it says that the task is over and names no result, and how often in
    /// a row it did.
    finished: Option<(VoiceEvent, usize)>,
    retries: usize,
}

enum Next {
    Settled(VoiceEvent),
    /// No further answer would help.
    Over,
    Again,
}

impl<'a> Learned<'a> {
    fn new(claimed: &'a VoiceEvent) -> Self {
        Self {
            claimed,
            finished: None,
            retries: Confirmer::RETRIES,
        }
    }

    fn weigh(&mut self, answer: Confirmation) -> Next {
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

    fn weigh_record(&mut self, record: VoiceEvent) -> Next {
        match record.meaning() {
            _ if record.is_final() => Next::Settled(record),
            Meaning::PhraseReady if self.wants_phrase() => Next::Settled(record),
            Meaning::Inconsistent(_) => self.finished(record),
            _ => self.pending(),
        }
    }

    /// The record is over without a result. It may fill in: a claimed result has all of its time,
    /// anything else until the record repeats itself.
    fn finished(&mut self, record: VoiceEvent) -> Next {
        let times = self.finished.take().map_or(1, |(_, times)| times + 1);
        if times > 1 && !self.claimed.is_final() {
            return Next::Settled(record);
        }
        self.finished = Some((record, times));
        Next::Again
    }

    /// What claims nothing is not worth waiting for.
    fn pending(&mut self) -> Next {
        self.finished = None;
        match self.claimed.meaning() {
            Meaning::Unknown => Next::Over,
            _ => Next::Again,
        }
    }

    fn at_the_end(self) -> Result<VoiceEvent, Doubt> {
        match self.finished {
            Some((record, times)) if times > 1 => Ok(record),
            Some((record, _)) if record.meaning() == self.claimed.meaning() => Ok(record),
            _ => Err(Doubt::Unknown),
        }
    }

    fn wants_phrase(&self) -> bool {
        let claimed = self.claimed.meaning();
        claimed == Meaning::PhraseReady || claimed == Meaning::Unknown
    }

    fn is_about(&self, record: &VoiceEvent) -> bool {
        let subject = |it: &VoiceEvent| (it.kind(), it.task_id().clone());
        subject(record) == subject(self.claimed)
    }
}

/// Why the truth is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The provider does not know yet, or could not be asked.
    Unknown,
    /// Too many wait for it.
    Crowded,
}

impl fmt::Debug for Confirmer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmer").finish_non_exhaustive()
    }
}
