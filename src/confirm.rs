//! Asks the provider what is true before an outcome is handed over.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep_until},
};

use crate::{
    event::{CallbackKind, Meaning, TaskId, VoiceEvent},
    limits::Limits,
    timer::by,
};

/// Says what is true, given what a callback claims.
///
/// The signature does not cover the body, so whoever saw one header pair can claim anything about
/// that task for some minutes. With a `Confirm` the layer hands over what the provider's own API
/// says, and the callback is only a hint that it is time to ask.
///
/// The layer asks before it claims: one question per task at a time, whose answer everybody who
/// waits shares and which is used again for a second.
///
/// # Cancellation safety
///
/// The layer drops the future when the time for confirming is up. It runs on a task of its own, so
/// a sender who hangs up does not end it, and cannot have it started again.
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

/// What happens to a callback that could not be confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unconfirmed {
    /// It is answered with 503, so that the provider sends it again. After three such tries the
    /// provider stops for ever: watch the task with a reconciler.
    #[default]
    Refuse,
    /// It is delivered with the trust of its signature.
    Deliver,
}

/// Called with a claim that could not be confirmed, so that somebody watches the task.
pub(crate) type UnconfirmedHook = Arc<dyn Fn(&VoiceEvent) + Send + Sync>;

/// The step `confirm`: a [`Confirm`] with what keeps a flood of callbacks off the provider's API.
pub(crate) struct Confirmer {
    source: Arc<dyn ErasedConfirm>,
    questions: Mutex<HashMap<Subject, Asked>>,
    open: Arc<Semaphore>,
    /// How many may wait for the truth about one task.
    waiters: usize,
}

/// What a question is about. Layers of both kinds may share one confirmer.
type Subject = (CallbackKind, TaskId);

/// What was last asked about a task, and everybody who waits for the truth about it.
#[derive(Clone)]
struct Asked {
    question: Arc<Question>,
    crowd: Arc<()>,
}

/// One question: asked by a task of its own, so that whoever hangs up and comes again finds it
/// under way instead of asking anew.
struct Question(watch::Sender<Option<Answer>>);

type Answer = (Confirmation, Instant);

impl Confirmer {
    /// How long an answer is used again, and the pause before the next question about the task.
    const FRESH: Duration = Duration::from_secs(1);

    /// How often the provider is asked once more after it could not be asked.
    const RETRIES: usize = 1;

    pub(crate) fn new(source: Arc<dyn ErasedConfirm>, limits: &Limits) -> Self {
        Self {
            source,
            questions: Mutex::default(),
            open: Arc::new(Semaphore::new(limits.questions.min(Semaphore::MAX_PERMITS))),
            waiters: limits.waiters_per_slot,
        }
    }

    /// The same source under other limits.
    pub(crate) fn limited(&self, limits: &Limits) -> Self {
        Self::new(Arc::clone(&self.source), limits)
    }

    /// The truth about the task of `claimed`, where it is known within `budget`.
    pub(crate) async fn truth(
        &self,
        claimed: &VoiceEvent,
        budget: Duration,
        deadline: Instant,
    ) -> Result<VoiceEvent, Doubt> {
        let end = deadline.min(Instant::now() + budget);
        let mut asked = self.asked(claimed, budget);
        if asked.waiting() > self.waiters {
            return Err(Doubt::Crowded);
        }
        let mut retries = Self::RETRIES;
        loop {
            let answer = by(end, asked.question.answer()).await.flatten();
            let (answer, at) = answer.ok_or(Doubt::Unknown)?;
            match answer {
                Confirmation::Confirmed(event) if settles(&event, claimed) => return Ok(event),
                // What claims nothing is not worth waiting for.
                Confirmation::Confirmed(_) | Confirmation::Pending
                    if claimed.meaning() == Meaning::Unknown =>
                {
                    return Err(Doubt::Unknown);
                }
                Confirmation::Confirmed(_) | Confirmation::Pending => {}
                Confirmation::Unavailable => {
                    retries = retries.checked_sub(1).ok_or(Doubt::Unknown)?;
                }
            }
            let slept = by(end, sleep_until(at + Self::FRESH)).await;
            slept.ok_or(Doubt::Unknown)?;
            asked = self.asked(claimed, budget);
        }
    }

    /// The question about this task that is open or was just answered, or a new one.
    fn asked(&self, claimed: &VoiceEvent, budget: Duration) -> Asked {
        let subject = (claimed.kind(), claimed.task_id().clone());
        let mut questions = self
            .questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = questions.get(&subject);
        if let Some(asked) = before.filter(|it| it.question.is_usable()) {
            return asked.clone();
        }
        let asked = Asked {
            question: Arc::new(Question(watch::Sender::new(None))),
            crowd: before.map_or_else(Arc::default, |it| Arc::clone(&it.crowd)),
        };
        // A map that has to grow first forgets what nobody would use.
        if questions.len() == questions.capacity() {
            questions.retain(|_, it| it.question.is_usable() || it.waiting() > 0);
        }
        questions.insert(subject, asked.clone());
        drop(questions);
        self.ask(Asking::new(&asked.question), claimed.clone(), budget);
        asked
    }

    fn ask(&self, asking: Asking, claimed: VoiceEvent, budget: Duration) {
        let Ok(open) = Arc::clone(&self.open).try_acquire_owned() else {
            return;
        };
        let source = Arc::clone(&self.source);
        // A little earlier than those who wait for it, so that they find it ended.
        let end = Instant::now() + (budget - budget / 100);
        tokio::spawn(async move {
            let answer = by(end, source.confirm_erased(&claimed)).await;
            drop(open);
            asking.end(answer.unwrap_or(Confirmation::Unavailable));
        });
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

impl Asked {
    /// How many hold it beside the map.
    fn waiting(&self) -> usize {
        Arc::strong_count(&self.crowd) - 1
    }
}

impl Question {
    /// `None` never comes: whoever asks keeps the sender.
    async fn answer(&self) -> Option<Answer> {
        let mut answers = self.0.subscribe();
        answers.wait_for(Option::is_some).await.ok()?.clone()
    }

    fn is_usable(&self) -> bool {
        let answer = self.0.borrow();
        answer
            .as_ref()
            .is_none_or(|(_, at)| at.elapsed() < Confirmer::FRESH)
    }
}

/// Answers its question when it is dropped, so that a panic or the end of the runtime leaves
/// nobody waiting.
struct Asking {
    question: Arc<Question>,
    answer: Confirmation,
}

impl Asking {
    fn new(question: &Arc<Question>) -> Self {
        Self {
            question: Arc::clone(question),
            answer: Confirmation::Unavailable,
        }
    }

    fn end(mut self, answer: Confirmation) {
        self.answer = answer;
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let answer = std::mem::replace(&mut self.answer, Confirmation::Unavailable);
        let answer = (answer, Instant::now());
        self.question.0.send_replace(Some(answer));
    }
}

/// Whether a record says enough to act on, about the task that was asked about. A success without
/// a voice id does not, even if it stays like that.
fn settles(record: &VoiceEvent, claimed: &VoiceEvent) -> bool {
    let phrases = [record, claimed].map(|it| it.meaning() == Meaning::PhraseReady);
    let decided = record.is_final() || phrases == [true; 2];
    decided && record.task_id() == claimed.task_id() && record.kind() == claimed.kind()
}

impl fmt::Debug for Confirmer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmer").finish_non_exhaustive()
    }
}

/// The twin of [`Confirm`] that can be a trait object.
pub(crate) trait ErasedConfirm: Send + Sync {
    fn confirm_erased<'a>(
        &'a self,
        claimed: &'a VoiceEvent,
    ) -> Pin<Box<dyn Future<Output = Confirmation> + Send + 'a>>;
}

impl<C: Confirm> ErasedConfirm for C {
    fn confirm_erased<'a>(
        &'a self,
        claimed: &'a VoiceEvent,
    ) -> Pin<Box<dyn Future<Output = Confirmation> + Send + 'a>> {
        Box::pin(self.confirm(claimed))
    }
}
