//! Asks the provider what is true before an outcome is handed over.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::{
    event::{CallbackKind, Meaning, TaskId, VoiceEvent},
    limits::Limits,
    questions::Questions,
    reconcile::Watchlist,
    timer::by,
};

/// Says what is true, given what a callback claims.
///
/// The signature does not cover the body, so whoever saw one header pair can claim anything about
/// that task for some minutes. With a `Confirm` the layer hands over what the provider's own API
/// says, and the callback is only a hint that it is time to ask.
///
/// The layer asks before it claims: one question per task at a time, whose answer everybody who
/// waits shares and which is used again for a second. Questions wait for their turn; of those that
/// may be open ([`Limits::questions`](crate::Limits::questions)) a quarter at most is about tasks
/// that were asked about in the last minutes.
///
/// # What cannot be confirmed in time
///
/// is answered with 503, and by default the layer keeps its task and asks on about it, whether or
/// not the provider comes again, until the record is known or the patience of its
/// [`Pace`](crate::reconcile::Pace) is over; the record is then handed to the same handler, as
/// [`Via::Poll`](crate::Via::Poll). So a limit of ours never costs an event. [`Unconfirmed`] has
/// the other choices. What is kept is in memory: **after a restart** the application gives the
/// tasks that it has seen no end of to a reconciler's
/// [`watch_all`](crate::reconcile::Watchlist::watch_all).
///
/// # Cancellation safety
///
/// The layer drops a future when its time is up. It runs on a task of its own, so a sender who
/// hangs up does not end it, and cannot have it started again.
///
/// # Example
///
/// ```
/// use suno_callback::{CallbackKind, Confirm, Confirmation, VoiceEvent};
///
/// struct MyApi;
///
/// impl Confirm for MyApi {
///     async fn confirm(&self, claimed: &VoiceEvent) -> Confirmation {
///         let record = format!(
///             r#"{{"code":200,"data":{{"taskId":"{}","status":"fail"}}}}"#,
///             claimed.task_id()
///         ); // fetched
///         match VoiceEvent::from_record(claimed.kind(), claimed.task_id(), &record) {
///             Ok(event) => Confirmation::Confirmed(event),
///             Err(_) => Confirmation::Unavailable,
///         }
///     }
/// }
/// # let _ = CallbackKind::Generate;
/// ```
pub trait Confirm: Send + Sync + 'static {
    /// Asks once. The layer bounds the time, repeats a [`Confirmation::Pending`] each second and a
    /// [`Confirmation::Unavailable`] once, and does the sharing.
    fn confirm(&self, claimed: &VoiceEvent) -> impl Future<Output = Confirmation> + Send;

    /// Completes when a task may be asked about that no callback waits for; [`Confirm::look_up`]
    /// follows at once. At which task it looks is decided only then. By default it may be at any
    /// time; one whose API bears so many questions a second waits here.
    fn turn(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Asks about a task that no callback waits for, after a [`Confirm::turn`]. The layer asks 30 s
    /// at the longest.
    ///
    /// By default it confirms an event that claims nothing.
    fn look_up(
        &self,
        kind: CallbackKind,
        task: &TaskId,
    ) -> impl Future<Output = Confirmation> + Send {
        let claimed = about(kind, task);
        async move {
            match claimed {
                Some(claimed) => self.confirm(&claimed).await,
                None => Confirmation::Unavailable,
            }
        }
    }
}

/// An event that claims nothing about its task.
fn about(kind: CallbackKind, task: &TaskId) -> Option<VoiceEvent> {
    VoiceEvent::from_record(kind, task, "{}").ok()
}

/// What a [`Confirm`] found out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Confirmation {
    /// This is what the provider's record says, whatever the callback claimed.
    Confirmed(VoiceEvent),
    /// The provider does not know yet.
    Pending,
    /// The provider could not be asked.
    Unavailable,
}

/// What happens to a callback that could not be confirmed in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unconfirmed {
    /// It is answered with 503, and the layer asks on until it is known: what the provider's tries
    /// do not deliver, a poll does.
    #[default]
    Keep,
    /// It is answered with 503, and nobody asks on. After three such tries the provider stops for
    /// ever: for an application whose reconciler watches every task that it submits.
    Refuse,
    /// It is delivered with the trust of its signature.
    Deliver,
}

/// Called with a claim that could not be confirmed.
pub(crate) type UnconfirmedHook = Arc<dyn Fn(&VoiceEvent) + Send + Sync>;

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

type Asking<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The twin of [`Confirm`] that can be a trait object.
pub(crate) trait ErasedConfirm: Send + Sync {
    fn confirm_erased<'a>(&'a self, claimed: &'a VoiceEvent) -> Asking<'a, Confirmation>;

    fn turn_erased(&self) -> Asking<'_, ()>;

    fn look_up_erased<'a>(
        &'a self,
        kind: CallbackKind,
        task: &'a TaskId,
    ) -> Asking<'a, Confirmation>;
}

impl<C: Confirm> ErasedConfirm for C {
    fn confirm_erased<'a>(&'a self, claimed: &'a VoiceEvent) -> Asking<'a, Confirmation> {
        Box::pin(self.confirm(claimed))
    }

    fn turn_erased(&self) -> Asking<'_, ()> {
        Box::pin(self.turn())
    }

    fn look_up_erased<'a>(
        &'a self,
        kind: CallbackKind,
        task: &'a TaskId,
    ) -> Asking<'a, Confirmation> {
        Box::pin(self.look_up(kind, task))
    }
}
