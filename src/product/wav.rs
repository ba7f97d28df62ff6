//! WAV files, converted from a track.

use super::{
    Product, Source, TaskEvent, TaskOutcome,
    task::{self, Content, Dialect, Found, field, found, only_link},
};
use crate::event::{Key, Level, Scanned, TaskId};

/// The callbacks of `POST /api/v1/wav/generate`.
///
/// Documented: success and failure of both providers, and the record
/// (<https://docs.kie.ai/suno-api/convert-to-wav-callbacks>,
/// <https://docs.sunoapi.org/suno-api/convert-to-wav-format-callbacks>,
/// <https://docs.kie.ai/suno-api/get-wav-details>). There is one event a task, and no word in it:
/// the code and the link decide. The link is spelled `audioWavUrl`, on kie's Chinese page
/// `audio_wav_url`. Nobody has published a recorded delivery. A body is at most 16 KiB, of which a
/// real one needs a few hundred bytes.
///
/// # Example
///
/// ```
/// use suno_callback::product::{Product, Wav, WavOutcome};
///
/// let event = Wav.parse(
///     r#"{"code":200,"data":{"task_id":"t","audioWavUrl":"https://files.example/a.wav"}}"#,
/// )?;
/// assert_eq!(event.outcome(), WavOutcome::Ready("https://files.example/a.wav".into()));
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wav;

/// One event in the life of a WAV file.
pub type WavEvent = TaskEvent<Wav>;

/// What such an event means; [`Ready`](TaskOutcome::Ready) has the link to the file. Hostile until
/// confirmed: fetch it with care.
pub type WavOutcome<'a> = TaskOutcome<'a, String>;

impl TaskEvent<Wav> {
    /// What the event means.
    pub fn outcome(&self) -> WavOutcome<'_> {
        self.outcome_of(|| self.wav_url())
    }

    /// The link to the file, whatever the stage: for acting on it, match on
    /// [`outcome`](Self::outcome).
    pub fn wav_url(&self) -> Option<String> {
        self.reading().content(wav_url)
    }
}

impl Product for Wav {
    type Event = WavEvent;

    fn name(&self) -> &'static str {
        "wav"
    }

    fn key(level: Level, key: &str) -> Key {
        match (level, key) {
            (Level::Data, "audioWavUrl") => Key::raw(field::RESULT),
            (Level::Data, "audio_wav_url") => Key::raw(field::RESULT).respelled(),
            (Level::Data, "successFlag") => Key::field(field::FLAG),
            _ => field::shared(level, key),
        }
    }

    fn read(&self, task_id: TaskId, source: Source, scanned: &Scanned<'_>, body: &str) -> WavEvent {
        task::read(self, task_id, source, scanned, body)
    }

    fn record_path(&self) -> Option<&'static str> {
        Some("/api/v1/wav/record-info")
    }
}

impl Dialect for Wav {
    fn found(content: Content<'_>) -> Found {
        found(wav_url(content).as_slice())
    }

    fn results(content: Content<'_>) -> Vec<String> {
        wav_url(content).into_iter().collect()
    }
}

fn wav_url(content: Content<'_>) -> Option<String> {
    only_link(content, &["audioWavUrl", "audio_wav_url"])
}
