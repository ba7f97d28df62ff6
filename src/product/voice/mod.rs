//! Voices: generated, or validated with a phrase that is to be sung.

mod classify;
mod content;
mod event;
mod id;
mod kind;
mod outcome;
mod status;

pub use self::{
    event::VoiceEvent,
    id::VoiceId,
    kind::CallbackKind,
    outcome::{Failure, Inconsistency, VoiceOutcome},
    status::VoiceStatus,
};

use super::{Event, Product, Source};
use crate::event::{Key, Level, Scanned, Stage, TaskId};

/// The voice callbacks: the product of a layer that was told nothing else.
///
/// # Example
///
/// ```
/// use suno_callback::product::{Product, Voice};
///
/// let event = Voice::generate().parse(
///     r#"{"code":200,"data":{"taskId":"t","status":"success","voiceId":"v"}}"#,
/// )?;
/// assert_eq!(event.voice_id().map(|id| id.as_str()), Some("v"));
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Voice {
    kind: CallbackKind,
    is_job: bool,
    confirms_phrases: bool,
}

impl Voice {
    /// Of `POST /api/v1/voice/generate`.
    pub fn generate() -> Self {
        Self::from(CallbackKind::Generate)
    }

    /// Of `POST /api/v1/voice/validate` and `/regenerate`.
    pub fn validate() -> Self {
        Self::from(CallbackKind::Validate)
    }

    /// Submitted to the job API (`POST /api/v1/jobs/createTask`), which has its records.
    pub fn as_job(self) -> Self {
        Self {
            is_job: true,
            ..self
        }
    }

    /// Asks also before a ready phrase of [`CallbackKind::Generate`] is handed over; see
    /// [`confirm_phrases`](crate::SunoCallbackLayer::confirm_phrases).
    pub(crate) fn confirming_phrases(self) -> Self {
        Self {
            confirms_phrases: true,
            ..self
        }
    }

    /// Which of the two callbacks it is.
    pub fn kind(self) -> CallbackKind {
        self.kind
    }

    /// The same, of another callback.
    pub(crate) fn of_kind(self, kind: CallbackKind) -> Self {
        Self { kind, ..self }
    }
}

impl From<CallbackKind> for Voice {
    fn from(kind: CallbackKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }
}

/// The fields of a voice.
mod field {
    pub(super) const CODE: u8 = 0;
    pub(super) const STATUS: u8 = 1;
    pub(super) const VOICE_ID: u8 = 2;
    pub(super) const PHRASE: u8 = 3;
    pub(super) const ERROR_CODE: u8 = 4;
    pub(super) const ERROR_MESSAGE: u8 = 5;
    pub(super) const STATE: u8 = 6;
    pub(super) const RESULT: u8 = 7;
    pub(super) const FAIL_CODE: u8 = 8;
    pub(super) const FAIL_MESSAGE: u8 = 9;
    pub(super) const CALLBACK_TYPE: u8 = 10;
}

impl Product for Voice {
    type Event = VoiceEvent;

    fn name(&self) -> &'static str {
        match self.kind {
            CallbackKind::Generate => "voice",
            CallbackKind::Validate => "voice-validate",
        }
    }

    #[inline]
    fn key(level: Level, key: &str) -> Key {
        match level {
            Level::Top if key == "code" => Key::field(field::CODE),
            Level::Top => Key::IGNORED,
            Level::Data => content(key).unwrap_or_else(|| data(key)),
            Level::Result if matches!(key, "data" | "resultObject") => Key::NESTED,
            Level::Result | Level::WithinResult => content(key).unwrap_or_else(|| result(key)),
        }
    }

    fn read(
        &self,
        task_id: TaskId,
        source: Source,
        scanned: &Scanned<'_>,
        body: &str,
    ) -> VoiceEvent {
        VoiceEvent::new(*self, task_id, source, scanned, body)
    }

    fn record_path(&self) -> Option<&'static str> {
        Some(match (self.is_job, self.kind) {
            (true, _) => "/api/v1/jobs/recordInfo",
            (false, CallbackKind::Generate) => "/api/v1/voice/record-info",
            (false, CallbackKind::Validate) => "/api/v1/voice/validate-info",
        })
    }

    /// Progress that says nothing is handed over as it came.
    fn confirms(&self, event: &VoiceEvent) -> bool {
        match event.stage() {
            Stage::Progress { step: 0, .. } => false,
            Stage::Progress { .. } => event.is_final() || self.confirms_phrases,
            _ => true,
        }
    }
}

/// What means the same in a body and in the result of a job.
#[inline(always)]
fn content(key: &str) -> Option<Key> {
    Some(match key {
        "status" => Key::field(field::STATUS),
        "voiceId" => Key::field(field::VOICE_ID),
        "voice_id" => Key::field(field::VOICE_ID).respelled(),
        "validateInfo" => Key::field(field::PHRASE),
        "validate_info" => Key::field(field::PHRASE).respelled(),
        "errorCode" => Key::field(field::ERROR_CODE),
        "error_code" => Key::field(field::ERROR_CODE).respelled(),
        "errorMessage" => Key::field(field::ERROR_MESSAGE),
        "error_message" => Key::field(field::ERROR_MESSAGE).respelled(),
        _ => return None,
    })
}

fn data(key: &str) -> Key {
    match key {
        "state" => Key::field(field::STATE),
        "resultJson" => Key::field(field::RESULT),
        "result_json" => Key::field(field::RESULT).respelled(),
        "failCode" => Key::field(field::FAIL_CODE),
        "fail_code" => Key::field(field::FAIL_CODE).respelled(),
        "failMsg" => Key::field(field::FAIL_MESSAGE),
        "fail_msg" => Key::field(field::FAIL_MESSAGE).respelled(),
        "callbackType" => Key::field(field::CALLBACK_TYPE),
        "callback_type" => Key::field(field::CALLBACK_TYPE).respelled(),
        _ => foreign(key).map_or(Key::IGNORED, Key::foreign),
    }
}

/// The products that have a key of their own, by their callback pages.
fn foreign(key: &str) -> Option<&'static str> {
    Some(match key {
        "data" => "music or lyrics",
        "audioWavUrl" | "audio_wav_url" => "WAV",
        "vocal_separation_info" | "vocal_removal_info" => "stems",
        "instruments" | "midiData" => "MIDI",
        "images" => "cover image",
        "video_url" | "video_id" | "result_video_url" => "video",
        "info" | "fallbackFlag" | "promptJson" | "resultUrls" => "image or video",
        "response" | "successFlag" | "operationType" => "another product's record",
        _ => return None,
    })
}

fn result(key: &str) -> Key {
    match key {
        "verify_phrase_text" => Key::field(field::PHRASE).respelled(),
        "taskId" | "task_id" => Key::IGNORED,
        _ => Key::foreign("job"),
    }
}
