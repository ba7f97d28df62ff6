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
    sync::{OnceCell, Semaphore},
    time::{Instant, sleep_until},
};

use crate::{
    event::{Meaning, TaskId, VoiceEvent},
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
/// The layer drops the future when time is up or when everybody who waited has gone.
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
///         match VoiceEvent::from_record(claimed.kind(), &record) {
///             Ok(event) => Confirmation::Confirmed(event),
///             Err(_) => Confirmation::Unavailable,
///         }
///     }
/// }
/// # let _ = CallbackKind::Generate;
/// ```
pub trait Confirm: Send + Sync + 'static {
    /// Asks once. The layer bounds the time, repeats a [`Confirmation::Pending`], and does the
    /// sharing.
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
    questions: Mutex<HashMap<TaskId, Arc<Question>>>,
    open: Semaphore,
    budget: Duration,
}

/// One question about one task.
#[derive(Default)]
struct Question {
    answer: OnceCell<(Confirmation, Instant)>,
}

impl Confirmer {
    /// How long an answer is used again, and the pause before a record that is pending is fetched
    /// once more.
    const FRESH: Duration = Duration::from_secs(1);

    pub(crate) fn new(source: Arc<dyn ErasedConfirm>, budget: Duration, open: usize) -> Self {
        Self {
            source,
            questions: Mutex::default(),
            open: Semaphore::new(open),
            budget,
        }
    }

    /// The truth about the task of `claimed`, or `None` when it is not known in time.
    pub(crate) async fn truth(
        &self,
        claimed: &VoiceEvent,
        deadline: Instant,
    ) -> Option<VoiceEvent> {
        let end = deadline.min(Instant::now() + self.budget);
        loop {
            let (answer, at) = by(end, self.ask(claimed)).await?;
            match answer {
                Confirmation::Confirmed(event) if settles(&event, claimed) => return Some(event),
                Confirmation::Confirmed(_) | Confirmation::Pending => {}
                Confirmation::Unavailable => return None,
            }
            by(end, sleep_until(at + Self::FRESH)).await?;
        }
    }

    /// One answer, shared with everybody who asks about the same task.
    async fn ask(&self, claimed: &VoiceEvent) -> (Confirmation, Instant) {
        let question = self.question(claimed.task_id());
        let answer = question.answer.get_or_init(|| async {
            let Ok(_open) = self.open.try_acquire() else {
                return (Confirmation::Unavailable, Instant::now());
            };
            let answer = self.source.confirm_erased(claimed).await;
            (answer, Instant::now())
        });
        answer.await.clone()
    }

    fn question(&self, task: &TaskId) -> Arc<Question> {
        let mut questions = self
            .questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(question) = questions.get(task).filter(|it| it.is_usable()) {
            return Arc::clone(question);
        }
        // A map that has to grow first forgets what nobody would use.
        if questions.len() == questions.capacity() {
            questions.retain(|_, question| question.is_in_use());
        }
        let question = Arc::<Question>::default();
        questions.insert(task.clone(), Arc::clone(&question));
        question
    }
}

impl Question {
    fn is_usable(&self) -> bool {
        let fresh = |(_, at): &(_, Instant)| at.elapsed() < Confirmer::FRESH;
        self.answer.get().is_none_or(fresh)
    }

    fn is_in_use(self: &Arc<Self>) -> bool {
        let somebody_asks = Arc::strong_count(self) > 1;
        somebody_asks || self.answer.initialized() && self.is_usable()
    }
}

/// Whether a record says enough to act on, about the task that was asked about. A success without
/// a voice id does not, even if it stays like that.
fn settles(record: &VoiceEvent, claimed: &VoiceEvent) -> bool {
    let decided = match record.meaning() {
        Meaning::Ready | Meaning::Failed => true,
        Meaning::PhraseReady => record.is_final() || claimed.meaning() == Meaning::PhraseReady,
        Meaning::Pending | Meaning::Inconsistent(_) => false,
    };
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
