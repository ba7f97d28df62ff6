use std::{fmt, sync::Arc};

use super::{
    CallbackKind, Failure, Inconsistency, Voice, VoiceId, VoiceOutcome, VoiceStatus,
    classify::{Code, Evidence, OutcomeKind},
    content::Content,
    field,
};
use crate::{
    event::{InvalidEvent, Part, Scanned, Stage, TaskId},
    product::{Event, KeysOf, Product, Source},
};

/// One event in the life of a voice: cheap to clone.
///
/// The layer inserts it into the extensions of the request; with the `axum` feature it is an
/// extractor. How far it can be trusted says the [`Delivery`](crate::Delivery) beside it: the
/// provider signs the task id and the time, **not** what the event says about the task.
///
/// # Example
///
/// ```
/// use suno_callback::{CallbackKind, VoiceEvent, VoiceOutcome};
///
/// let event = VoiceEvent::parse(
///     CallbackKind::Generate,
///     r#"{"code":200,"msg":"success","data":{"taskId":"t-1","voiceId":"voice_1","status":"success"}}"#,
/// )?;
/// assert_eq!(event.task_id(), "t-1");
/// assert!(matches!(event.outcome(), VoiceOutcome::Ready(id) if *id == "voice_1"));
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone)]
pub struct VoiceEvent(Arc<Inner>);

struct Inner {
    product: Voice,
    outcome: OutcomeKind,
    code: Option<Code>,
    status: VoiceStatus,
    /// The product that unknown content is of, where that is plain.
    foreign: Option<&'static str>,
    task_id: TaskId,
    voice_id: Option<VoiceId>,
    phrase: Option<Part>,
    error_code: Option<i64>,
    error_message: Option<Part>,
    /// What an inconsistent event claims, where that is what tells it from others.
    claim: Option<Box<str>>,
    /// What was parsed, in memory of its own: it outlives the connection's read buffer.
    body: Box<str>,
}

impl VoiceEvent {
    /// Reads the body of a callback, without any check of its origin: for tests and tools. The
    /// layer does this for every request.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] when it is not JSON or its task id is missing, ambiguous or malformed.
    pub fn parse(kind: CallbackKind, body: impl AsRef<[u8]>) -> Result<Self, InvalidEvent> {
        Voice::from(kind).parse(body)
    }

    /// Reads a record that the provider's API returned: the same shape, but there `code` speaks of
    /// the API call and says nothing about the task.
    ///
    /// # Errors
    ///
    /// As for [`VoiceEvent::parse`], but a record without a task id is one of the `task` that was
    /// asked about; [`InvalidEvent::TaskIdsDiffer`] when it names another.
    pub fn from_record(
        kind: CallbackKind,
        task: &TaskId,
        record: impl AsRef<[u8]>,
    ) -> Result<Self, InvalidEvent> {
        Voice::from(kind).parse_record(task, record)
    }

    pub(super) fn new(
        product: Voice,
        task_id: TaskId,
        source: Source,
        scanned: &Scanned<'_>,
        body: &str,
    ) -> Self {
        // In a record that was fetched `code` speaks of the question.
        let code = (source == Source::Callback).then(|| {
            let code = scanned.get(field::CODE).as_whole();
            code.map_or(Code::None, Code::Is)
        });
        let of = |result: Option<&Scanned<'_>>| {
            Self::of(product, code, task_id, &Content::new(scanned, result), body)
        };
        match scanned.text(field::RESULT) {
            "" => of(None),
            result => Scanned::of_result::<KeysOf<Voice>, _>(result, of),
        }
    }

    fn of(
        product: Voice,
        code: Option<Code>,
        task_id: TaskId,
        content: &Content<'_>,
        body: &str,
    ) -> Self {
        let kind = product.kind();
        let (status, some_status_fails) = content.status();
        let (voice_id, foreign) = (content.text(field::VOICE_ID), content.foreign());
        let voice_id_damaged = content.has_damaged(voice_id);
        let evidence = Evidence {
            kind,
            code,
            status: &status,
            some_status_fails,
            voice_id,
            voice_id_damaged,
            phrase: content.text(field::PHRASE),
            key_repeated: content.is_ambiguous(),
            is_foreign: foreign.is_some(),
        };
        let outcome = evidence.classify();
        let part = |field| Part::of(body, content.get(field));
        let fail_message = || part(field::FAIL_MESSAGE);
        let fail_code = || content.get(field::FAIL_CODE).as_whole();
        Self(Arc::new(Inner {
            product,
            outcome,
            code,
            task_id,
            foreign: foreign.filter(|_| outcome == OutcomeKind::Unknown),
            voice_id: VoiceId::parse(voice_id).filter(|_| !voice_id_damaged),
            phrase: part(field::PHRASE),
            error_code: content.get(field::ERROR_CODE).as_whole().or_else(fail_code),
            error_message: part(field::ERROR_MESSAGE).or_else(fail_message),
            claim: evidence.claim(outcome),
            status,
            body: body.into(),
        }))
    }

    /// Which of the two callbacks it is; the route decides that.
    pub fn kind(&self) -> CallbackKind {
        self.0.product.kind()
    }

    /// The task that the event is about: the one whose signature was verified.
    pub fn task_id(&self) -> &TaskId {
        &self.0.task_id
    }

    /// How far the provider says the task is.
    pub fn status(&self) -> &VoiceStatus {
        &self.0.status
    }

    /// What the event means.
    pub fn outcome(&self) -> VoiceOutcome<'_> {
        match (self.0.outcome, self.voice_id(), self.validate_info()) {
            (OutcomeKind::Ready, Some(voice_id), _) => VoiceOutcome::Ready(voice_id),
            (OutcomeKind::PhraseReady, _, Some(phrase)) => VoiceOutcome::PhraseReady(phrase),
            (OutcomeKind::Failed, ..) => VoiceOutcome::Failed(Failure(self)),
            (OutcomeKind::Inconsistent(why), ..) => VoiceOutcome::Inconsistent(why),
            (OutcomeKind::Unknown, ..) => VoiceOutcome::Unknown,
            (OutcomeKind::Pending | OutcomeKind::Ready | OutcomeKind::PhraseReady, ..) => {
                VoiceOutcome::Pending
            }
        }
    }

    /// Whether nothing better is to come for this kind of callback: a voice or a failure, and for
    /// [`CallbackKind::Validate`] also a ready phrase, or a success that names neither a phrase nor
    /// a voice.
    ///
    /// What is final has the rights of an outcome in the layer: it is remembered as long, and no
    /// flood of other claims about its task keeps it out.
    pub fn is_final(&self) -> bool {
        match (self.kind(), self.0.outcome) {
            (_, OutcomeKind::Ready | OutcomeKind::Failed) => true,
            (CallbackKind::Validate, OutcomeKind::PhraseReady) => true,
            // A record that moved on: the phrase is gone. The code must not deny it, so that there
            // is one such event a task.
            (CallbackKind::Validate, OutcomeKind::Inconsistent(Inconsistency::NoVoiceId)) => {
                !self.0.code.is_some_and(Code::denies)
            }
            (_, OutcomeKind::PhraseReady | OutcomeKind::Pending) => false,
            (_, OutcomeKind::Inconsistent(_) | OutcomeKind::Unknown) => false,
        }
    }

    /// The envelope's `code`, where it is a whole number. `None` in a record that was fetched.
    pub fn code(&self) -> Option<i64> {
        match self.0.code {
            Some(Code::Is(code)) => Some(code),
            Some(Code::None) | None => None,
        }
    }

    /// `voiceId`, whatever the status: for acting on it, match on [`VoiceEvent::outcome`].
    pub fn voice_id(&self) -> Option<&VoiceId> {
        self.0.voice_id.as_ref()
    }

    /// `validateInfo`, the phrase to be sung, where it is not empty.
    pub fn validate_info(&self) -> Option<&str> {
        self.part(self.0.phrase.as_ref())
    }

    /// `errorCode`, where it is a whole number.
    pub fn error_code(&self) -> Option<i64> {
        self.0.error_code
    }

    /// `errorMessage`, where it is not empty. Hostile until confirmed: escape it.
    pub fn error_message(&self) -> Option<&str> {
        self.part(self.0.error_message.as_ref())
    }

    /// The JSON that this event was read from: as it came, or with replacement characters for what
    /// was no text in it. A request's own body has the exact bytes.
    pub fn body(&self) -> &str {
        &self.0.body
    }

    fn part<'a>(&'a self, part: Option<&'a Part>) -> Option<&'a str> {
        part.map(|part| part.as_str(&self.0.body))
    }
}

impl Event for VoiceEvent {
    type Product = Voice;

    fn product(&self) -> Voice {
        self.0.product
    }

    fn task_id(&self) -> &TaskId {
        &self.0.task_id
    }

    fn body(&self) -> &str {
        &self.0.body
    }

    fn stage(&self) -> Stage {
        match self.0.outcome {
            OutcomeKind::Ready => Stage::Success,
            OutcomeKind::Failed => Stage::Failure,
            OutcomeKind::Pending => Stage::Progress {
                name: self.0.status.listed(),
                step: 0,
            },
            OutcomeKind::PhraseReady => Stage::Progress {
                name: "phrase",
                step: 1,
            },
            OutcomeKind::Inconsistent(why) => Stage::Inconsistent { why: why.as_str() },
            OutcomeKind::Unknown => Stage::Unknown,
        }
    }

    fn name(&self) -> &str {
        self.0.status.as_str()
    }

    fn variant(&self) -> &str {
        match self.0.outcome {
            OutcomeKind::PhraseReady => self.validate_info().unwrap_or_default(),
            OutcomeKind::Inconsistent(_) => self.0.claim.as_deref().unwrap_or(&self.0.body),
            OutcomeKind::Unknown => &self.0.body,
            OutcomeKind::Ready | OutcomeKind::Failed | OutcomeKind::Pending => "",
        }
    }

    fn result(&self) -> Option<&str> {
        let voice_id = self
            .voice_id()
            .filter(|_| self.0.outcome == OutcomeKind::Ready);
        voice_id.map(VoiceId::as_str)
    }

    fn is_final(&self) -> bool {
        VoiceEvent::is_final(self)
    }

    fn foreign(&self) -> Option<&'static str> {
        self.0.foreign
    }
}

impl fmt::Debug for VoiceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoiceEvent")
            .field("kind", &self.kind())
            .field("task_id", &self.0.task_id)
            .field("status", &self.0.status)
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}
