//! What a callback says: [`VoiceEvent`], and what that means: [`VoiceOutcome`].

mod id;
mod outcome;
mod parse;
mod status;
mod text;
mod value;

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

pub use self::id::{InvalidTaskId, TaskId, VoiceId};
pub use self::outcome::{Failure, Inconsistency, VoiceOutcome};
pub use self::status::VoiceStatus;

pub(crate) use self::outcome::{Code, Meaning};
pub(crate) use self::parse::Claims;
pub(crate) use self::text::Escaped;

use self::{outcome::Evidence, parse::Field, value::Value};

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
    pub fn parse(kind: CallbackKind, body: &str) -> Result<Self, InvalidEvent> {
        let mut claims = Claims::default();
        claims.read(body)?;
        Ok(Self::new(kind, &claims, body))
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
        record: &str,
    ) -> Result<Self, InvalidEvent> {
        let mut claims = Claims::default();
        match claims.read(record) {
            Err(InvalidEvent::NoTaskId) => {}
            Ok(()) if task == claims.task_id() => {}
            Ok(()) => return Err(InvalidEvent::TaskIdsDiffer),
            Err(why) => return Err(why),
        }
        Ok(Self::build(kind, None, task.clone(), &claims, record))
    }

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
        let text = |field| claims.get(field).as_str().unwrap_or_default();
        let status = VoiceStatus::from(text(Field::Status));
        let evidence = Evidence {
            code,
            status: &status,
            voice_id: text(Field::VoiceId),
            phrase: text(Field::Phrase),
            key_repeated: claims.content_key_repeated(),
        };
        let meaning = evidence.meaning();
        let part = |field| Part::of(body, claims.get(field));
        Self(Arc::new(Inner {
            kind,
            meaning,
            code,
            task_id,
            voice_id: VoiceId::parse(text(Field::VoiceId)),
            phrase: part(Field::Phrase),
            error_code: claims.get(Field::ErrorCode).as_whole(),
            error_message: part(Field::ErrorMessage),
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

    /// The JSON that this event was read from.
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
    /// Not a JSON object in UTF-8. Also half a surrogate pair, or a number beyond the range of a
    /// float, in a field that is read.
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
            Cow::Borrowed(part) => {
                let start = part.as_ptr().addr().wrapping_sub(body.as_ptr().addr());
                Self::Within(start..start.saturating_add(part.len()))
            }
            Cow::Owned(unescaped) => Self::Unescaped(unescaped.as_str().into()),
        })
    }

    fn as_str<'a>(&'a self, body: &'a str) -> &'a str {
        match self {
            Self::Within(range) => body.get(range.clone()).unwrap_or_default(),
            Self::Unescaped(text) => text,
        }
    }
}
