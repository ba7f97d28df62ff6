use std::fmt;

use super::{VoiceEvent, VoiceId};

/// What an event means, decided from status, code and ids together: what a handler matches.
///
/// No single field is trusted: a rejected identity check was seen as `voiceId: "fail"` beside
/// code 200, and codes of failures differ between providers. Statuses and ids are the provider's
/// (<https://docs.kie.ai/suno-api/suno-voice-generate-callback>,
/// <https://docs.sunoapi.org/suno-api/suno-voice-validate-callbacks>).
///
/// # When each comes
///
/// | outcome | how often a task | what a handler does |
/// |---|---|---|
/// | [`Ready`](Self::Ready) | once; nothing else of the task is handed over after it | stores the voice id |
/// | [`PhraseReady`](Self::PhraseReady) | once a phrase | has it sung, and is quick |
/// | [`Failed`](Self::Failed) | once; a `Ready` may still come after it | tells the user |
/// | [`Pending`](Self::Pending) | once a status | nothing |
/// | [`Inconsistent`](Self::Inconsistent), [`Unknown`](Self::Unknown) | once a content | asks the provider, or lets a [`Reconciler`](crate::Reconciler) |
///
/// They come in any order, and some never. A handler that succeeds ends the provider's tries of
/// this very event, also of `Inconsistent` and `Unknown`, whose repetition would say the same: an
/// error is for what the handler could not do, not for what it could not understand.
///
/// The list may grow: a match needs a `_`, and what falls there is best treated as `Pending`.
///
/// # Example
///
/// ```
/// use suno_callback::{VoiceEvent, VoiceOutcome};
///
/// fn act_on(event: &VoiceEvent) -> String {
///     match event.outcome() {
///         VoiceOutcome::Ready(voice_id) => format!("store {voice_id}"),
///         VoiceOutcome::PhraseReady(phrase) => format!("have {phrase:?} sung, and be quick"),
///         VoiceOutcome::Failed(failure) => format!("tell the user: {failure:?}"),
///         VoiceOutcome::Inconsistent(_) | VoiceOutcome::Unknown => {
///             format!("ask the provider about {}", event.task_id())
///         }
///         _ => String::from("wait"),
///     }
/// }
///
/// let music = r#"{"code":200,"data":{"task_id":"t","callbackType":"complete","data":[]}}"#;
/// let event = VoiceEvent::parse(Default::default(), music)?;
/// assert_eq!(act_on(&event), "ask the provider about t");
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VoiceOutcome<'a> {
    /// The voice exists: code 200, status `success`, and a voice id that is neither empty nor the
    /// word `fail`.
    Ready(&'a VoiceId),
    /// The phrase to be sung is ready: status `wait_validating`, or for a
    /// [`Validate`](super::CallbackKind::Validate) callback `success`, with a phrase that is not blank and
    /// no code that denies it. It lives for 1 to 15 minutes, so be quick.
    ///
    /// The text is the provider's: escape it.
    PhraseReady(&'a str),
    /// The task failed, by the provider for good: status `fail` or `processing_validate_fail`
    /// whatever the code, or a code that is not 200 where nothing claims progress or success and
    /// nothing is another product's.
    ///
    /// A forged failure may come before a genuine success, so a success is never swallowed by it:
    /// do not make it impossible to accept a later `Ready`.
    Failed(Failure<'a>),
    /// Progress that the provider documents, with nothing to act on: `wait_processing`,
    /// `processing_validate`, a `wait_validating` without its phrase, or a job that waits or runs.
    Pending,
    /// Something claims success and something else denies it, or a key is repeated. Ask the
    /// provider before acting on it.
    Inconsistent(Inconsistency),
    /// Nothing that is known to mean something: a status that nobody listed, none at all, or the
    /// content of another product. Ask the provider.
    Unknown,
}

impl VoiceOutcome<'_> {
    /// A short constant name: `ready`, `phrase_ready`, `failed`, `pending`, `inconsistent`,
    /// `unknown`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ready(_) => "ready",
            Self::PhraseReady(_) => "phrase_ready",
            Self::Failed(_) => "failed",
            Self::Pending => "pending",
            Self::Inconsistent(_) => "inconsistent",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Debug for VoiceOutcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(voice_id) => f.debug_tuple("Ready").field(voice_id).finish(),
            Self::PhraseReady(phrase) => {
                let phrase = crate::util::Escaped(phrase);
                f.debug_tuple("PhraseReady").field(&phrase).finish()
            }
            Self::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
            Self::Pending => f.write_str("Pending"),
            Self::Inconsistent(why) => f.debug_tuple("Inconsistent").field(why).finish(),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}

/// What a failed task says about its failure.
///
/// The texts are the provider's and not verified by its signature: escape them before you show
/// them.
///
/// # Example
///
/// ```
/// use suno_callback::{CallbackKind, VoiceEvent, VoiceOutcome};
///
/// let body = r#"{"code":500,"data":{"taskId":"t","status":"fail","errorMessage":"too short"}}"#;
/// let event = VoiceEvent::parse(CallbackKind::Generate, body)?;
/// let VoiceOutcome::Failed(failure) = event.outcome() else {
///     panic!("{event:?}");
/// };
/// assert_eq!((failure.code(), failure.error_message()), (Some(500), Some("too short")));
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy)]
pub struct Failure<'a>(pub(super) &'a VoiceEvent);

impl<'a> Failure<'a> {
    /// The envelope's `code`; kie.ai documents 500, sunoapi.org 400.
    pub fn code(&self) -> Option<i64> {
        self.0.code()
    }

    /// `errorCode`, where it is a number.
    pub fn error_code(&self) -> Option<i64> {
        self.0.error_code()
    }

    /// `errorMessage`, where it is a string that is not empty.
    pub fn error_message(&self) -> Option<&'a str> {
        self.0.error_message()
    }
}

impl PartialEq for Failure<'_> {
    fn eq(&self, other: &Self) -> bool {
        let parts = |it: &Self| (it.code(), it.error_code());
        parts(self) == parts(other) && self.error_message() == other.error_message()
    }
}

impl Eq for Failure<'_> {}

impl fmt::Debug for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("code", &self.code())
            .field("error_code", &self.error_code())
            .field(
                "error_message",
                &self.error_message().map(crate::util::Escaped),
            )
            .finish()
    }
}

/// Why an event contradicts itself.
///
/// # Example
///
/// ```
/// use suno_callback::{CallbackKind, Inconsistency, VoiceEvent, VoiceOutcome};
///
/// let body = r#"{"code":200,"data":{"taskId":"t","status":"success","voiceId":""}}"#;
/// let event = VoiceEvent::parse(CallbackKind::Generate, body)?;
/// assert_eq!(event.outcome(), VoiceOutcome::Inconsistent(Inconsistency::NoVoiceId));
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Inconsistency {
    /// Status `success`, and no voice id; for a [`Validate`](super::CallbackKind::Validate) callback
    /// no phrase either.
    NoVoiceId,
    /// Status `success`, and the voice id is the word `fail`.
    VoiceIdSaysFail,
    /// The voice id has half a character in it, so nobody knows what it was.
    VoiceIdDamaged,
    /// A result is there, and `code` is not 200.
    CodeDenies,
    /// Of `status`, a job's `state` and the status of its result one says success, and one failure.
    StatusDenies,
    /// A key is there twice, or in two spellings that differ: there are two meanings.
    RepeatedKey,
}

impl Inconsistency {
    /// A short constant name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoVoiceId => "no_voice_id",
            Self::VoiceIdSaysFail => "voice_id_says_fail",
            Self::VoiceIdDamaged => "voice_id_damaged",
            Self::CodeDenies => "code_denies",
            Self::StatusDenies => "status_denies",
            Self::RepeatedKey => "repeated_key",
        }
    }
}
