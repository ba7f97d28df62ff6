//! What a callback says: [`VoiceEvent`], and what that means: [`VoiceOutcome`].

mod content;
mod id;
mod outcome;
mod parse;
mod repair;
mod status;
mod text;
mod value;

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

pub use self::id::{InvalidTaskId, TaskId, VoiceId};
pub use self::outcome::{Failure, Inconsistency, VoiceOutcome};
pub use self::status::VoiceStatus;

pub(crate) use self::outcome::{Code, Meaning};
pub(crate) use self::parse::{Claims, read};
#[cfg(feature = "client")]
pub(crate) use self::repair::repaired;

use self::{content::Content, outcome::Evidence, parse::Field, value::Value};

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
    kind: CallbackKind,
    meaning: Meaning,
    code: Option<Code>,
    status: VoiceStatus,
    /// The product that unknown content is of, where that is plain.
    foreign: Option<&'static str>,
    task_id: TaskId,
    voice_id: Option<VoiceId>,
    phrase: Option<Part>,
    error_code: Option<i64>,
    error_message: Option<Part>,
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
        parse::read(body.as_ref(), |claims, text| {
            claims.check_ids()?;
            Ok(Self::new(kind, claims, text))
        })
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
        parse::read(record.as_ref(), |claims, text| {
            match claims.check_ids() {
                Err(InvalidEvent::NoTaskId) => {}
                Ok(()) if task == claims.task_id() => {}
                Ok(()) => return Err(InvalidEvent::TaskIdsDiffer),
                Err(why) => return Err(why),
            }
            Ok(Self::build(kind, None, task.clone(), claims, text))
        })
    }

    /// An event of what [`Claims::check_ids`] has seen.
    pub(crate) fn new(kind: CallbackKind, claims: &Claims<'_>, body: &str) -> Self {
        let code = claims.get(Field::Code).as_whole();
        let code = code.map_or(Code::None, Code::Is);
        let task_id = TaskId::from_valid(claims.task_id());
        Self::build(kind, Some(code), task_id, claims, body)
    }

    fn build(
        kind: CallbackKind,
        code: Option<Code>,
        task_id: TaskId,
        claims: &Claims<'_>,
        body: &str,
    ) -> Self {
        let of = |result: Option<&Claims<'_>>| {
            Self::of(kind, code, task_id, &Content::new(claims, result), body)
        };
        match claims.get(Field::Result).as_str() {
            Some(result) if !result.is_empty() => parse::with_result(result, of),
            _ => of(None),
        }
    }

    fn of(
        kind: CallbackKind,
        code: Option<Code>,
        task_id: TaskId,
        content: &Content<'_>,
        body: &str,
    ) -> Self {
        let (status, some_status_fails) = content.status();
        let (voice_id, foreign) = (content.text(Field::VoiceId), content.foreign());
        let voice_id_damaged = content.has_damaged(voice_id);
        let evidence = Evidence {
            kind,
            code,
            status: &status,
            some_status_fails,
            voice_id,
            voice_id_damaged,
            phrase: content.text(Field::Phrase),
            key_repeated: content.is_ambiguous(),
            is_foreign: foreign.is_some(),
        };
        let meaning = evidence.meaning();
        let part = |field| Part::of(body, content.get(field));
        let fail_message = || part(Field::FailMessage);
        let fail_code = || content.get(Field::FailCode).as_whole();
        Self(Arc::new(Inner {
            kind,
            meaning,
            code,
            task_id,
            foreign: foreign.filter(|_| meaning == Meaning::Unknown),
            voice_id: VoiceId::parse(voice_id).filter(|_| !voice_id_damaged),
            phrase: part(Field::Phrase),
            error_code: content.get(Field::ErrorCode).as_whole().or_else(fail_code),
            error_message: part(Field::ErrorMessage).or_else(fail_message),
            status,
            body: body.into(),
        }))
    }

    /// Which of the two callbacks it is; the route decides that.
    pub fn kind(&self) -> CallbackKind {
        self.0.kind
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
        match (self.0.meaning, self.voice_id(), self.validate_info()) {
            (Meaning::Ready, Some(voice_id), _) => VoiceOutcome::Ready(voice_id),
            (Meaning::PhraseReady, _, Some(phrase)) => VoiceOutcome::PhraseReady(phrase),
            (Meaning::Failed, ..) => VoiceOutcome::Failed(Failure(self)),
            (Meaning::Inconsistent(why), ..) => VoiceOutcome::Inconsistent(why),
            (Meaning::Unknown, ..) => VoiceOutcome::Unknown,
            (Meaning::Pending | Meaning::Ready | Meaning::PhraseReady, ..) => VoiceOutcome::Pending,
        }
    }

    /// Whether nothing better is to come for this kind of callback: a voice or a failure, and for
    /// [`CallbackKind::Validate`] also a ready phrase, or a success that names neither a phrase nor
    /// a voice.
    ///
    /// What is final has the rights of an outcome in the layer: it is remembered as long, and no
    /// flood of other claims about its task keeps it out.
    pub fn is_final(&self) -> bool {
        match (self.0.kind, self.0.meaning) {
            (_, Meaning::Ready | Meaning::Failed) => true,
            (CallbackKind::Validate, Meaning::PhraseReady) => true,
            // A record that moved on: the phrase is gone. The code must not deny it, so that there
            // is one such event a task.
            (CallbackKind::Validate, Meaning::Inconsistent(Inconsistency::NoVoiceId)) => {
                !self.0.code.is_some_and(Code::denies)
            }
            (_, Meaning::PhraseReady | Meaning::Pending) => false,
            (_, Meaning::Inconsistent(_) | Meaning::Unknown) => false,
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

    /// The code that the event speaks under; 200 in a record that was fetched, so that callback and
    /// poll say the same.
    pub(crate) fn claimed_code(&self) -> Option<i64> {
        self.0.code.map_or(Some(200), |_| self.code())
    }

    /// The product that unknown content is of, where that is plain.
    pub(crate) fn foreign(&self) -> Option<&'static str> {
        self.0.foreign
    }

    pub(crate) fn meaning(&self) -> Meaning {
        self.0.meaning
    }
}

impl fmt::Debug for VoiceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoiceEvent")
            .field("kind", &self.0.kind)
            .field("task_id", &self.0.task_id)
            .field("status", &self.0.status)
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}

/// Which callback a route receives. The payloads do not say, so the route must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallbackKind {
    /// Of `POST /api/v1/voice/generate`: ends with a voice or a failure.
    #[default]
    Generate,
    /// Of `POST /api/v1/voice/validate` and `/regenerate`: ends with a phrase or a failure.
    Validate,
}

impl CallbackKind {
    /// `generate` or `validate`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Validate => "validate",
        }
    }
}

/// Why a body is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidEvent {
    /// Not a JSON object, or a task id with half a character in it. Such damage in another text is
    /// read with replacement characters.
    NotJson,
    /// None of the four places has a task id.
    NoTaskId,
    /// Two places have different task ids.
    TaskIdsDiffer,
    /// `data` or a task id is there twice.
    RepeatedKey,
    /// The task id is not a string of 1 to 256 bytes without control characters.
    TaskIdOutsideGrammar,
}

impl fmt::Display for InvalidEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "the body is not a JSON object",
            Self::NoTaskId => "the body has no task id",
            Self::TaskIdsDiffer => "the body names two different tasks",
            Self::RepeatedKey => "a key on the way to the task id is repeated",
            Self::TaskIdOutsideGrammar => "the task id is outside its grammar",
        })
    }
}

impl std::error::Error for InvalidEvent {}

/// A text of the body that is not empty.
enum Part {
    /// It stands there as it is.
    Within(Range<usize>),
    /// It was written in escapes.
    Unescaped(Box<str>),
}

impl Part {
    fn of(body: &str, value: &Value<'_>) -> Option<Self> {
        let text = value.as_cow().filter(|text| !text.is_empty())?;
        Some(match text {
            Cow::Borrowed(part) => Self::within(body, part),
            Cow::Owned(unescaped) => Self::Unescaped(unescaped.as_str().into()),
        })
    }

    fn within(body: &str, part: &str) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(body.as_ptr().addr());
        match start.checked_add(part.len()) {
            Some(end) if end <= body.len() => Self::Within(start..end),
            // It stands in the result of a job, which is a text of its own.
            _ => Self::Unescaped(part.into()),
        }
    }

    fn as_str<'a>(&'a self, body: &'a str) -> &'a str {
        match self {
            Self::Within(range) => body.get(range.clone()).unwrap_or_default(),
            Self::Unescaped(text) => text,
        }
    }
}
