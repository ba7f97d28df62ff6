//! Music, of every kind that calls back with `text`, `first`, `complete` and `error`.

mod outcome;
mod track;

pub use self::{outcome::MusicOutcome, track::Track};

use super::{
    Product, Source, TaskEvent, TaskOutcome,
    task::{self, Content, Dialect, Found, RECORD, Word, Words, field, sorted},
};
use crate::event::{Key, Level, Scanned, Stage, TaskId};

/// The callbacks of `POST /api/v1/generate` and of what works like it: `/generate/extend`,
/// `/upload-cover`, `/upload-extend`, `/add-vocals`, `/add-instrumental`, `/replace-section`,
/// `/mashup`, `/sounds`.
///
/// Documented: all stages of most kinds, with three shapes of a failure, and the record
/// (<https://docs.kie.ai/suno-api/generate-music-callbacks>,
/// <https://docs.sunoapi.org/suno-api/generate-music-callbacks>,
/// <https://docs.kie.ai/suno-api/get-music-details>). `/mashup` has no callback page of its own, of
/// `/sounds` it is only said that it calls back, and whether `/replace-section` has the earlier
/// stages is disputed between its pages. Callbacks of music are handled in dozens of public
/// projects.
///
/// The stages are `text`, `first` (one track can be heard) and `complete` or `error`. Each may be
/// missing, and they come in any order. Taking `first` for the end is the most frequent mistake in
/// public code: match on [`MusicOutcome::Complete`]. A success needs one track with a link, and
/// `first` too; two successes must agree on the ids of the tracks.
///
/// A body is at most 256 KiB: each of two tracks carries up to 5,000 letters of text, each of which
/// may be written as an escape of six or twelve bytes.
///
/// # Example
///
/// ```
/// use suno_callback::product::{Music, MusicOutcome, Product};
///
/// let event = Music.parse(
///     r#"{"code":200,"data":{"task_id":"t","callbackType":"complete","data":[
///         {"id":"track-1","title":"Harbour","audio_url":"https://files.example/1.mp3"}]}}"#,
/// )?;
/// let MusicOutcome::Complete(tracks) = event.outcome() else { panic!("{event:?}") };
/// assert_eq!(tracks[0].title(), Some("Harbour"));
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Music;

/// One event in the life of music.
pub type MusicEvent = TaskEvent<Music>;

const TEXT: Word = Word::Progress("text", 1);
const TEXT_STAGE: Stage = Stage::Progress {
    name: "text",
    step: 1,
};

const FIRST: Word = Word::Progress("first", 2);
const FIRST_STAGE: Stage = Stage::Progress {
    name: "first",
    step: 2,
};

/// `failed` stands for `error` on an older page of api.box.
const MARKERS: Words = &[
    ("text", TEXT),
    ("first", FIRST),
    ("complete", Word::Success),
    ("error", Word::Failure),
    ("failed", Word::Failure),
];

const STATUSES: Words = &[("TEXT_SUCCESS", TEXT), ("FIRST_SUCCESS", FIRST)];

impl TaskEvent<Music> {
    /// What the event means.
    pub fn outcome(&self) -> MusicOutcome<'_> {
        match (self.outcome_of(|| Some(self.tracks())), self.stage()) {
            (TaskOutcome::Ready(tracks), _) => MusicOutcome::Complete(tracks),
            (TaskOutcome::Pending, FIRST_STAGE) => MusicOutcome::First(self.tracks()),
            (TaskOutcome::Pending, TEXT_STAGE) => MusicOutcome::Text(self.tracks()),
            (TaskOutcome::Pending, _) => MusicOutcome::Pending,
            (TaskOutcome::Failed(failure), _) => MusicOutcome::Failed(failure),
            (TaskOutcome::Inconsistent(why), _) => MusicOutcome::Inconsistent(why),
            (TaskOutcome::Unknown, _) => MusicOutcome::Unknown,
        }
    }

    /// The tracks, whatever the stage, also those that cannot be heard yet: for acting on them,
    /// match on [`outcome`](Self::outcome). Read anew by each call.
    pub fn tracks(&self) -> Vec<Track> {
        self.reading().content(|content| Track::all(content).0)
    }

    /// The `error` that a failed `/replace-section` has beside its `msg`. Hostile until confirmed.
    pub fn section_error(&self) -> Option<&str> {
        self.reading().extra()
    }
}

impl Product for Music {
    type Event = MusicEvent;

    fn name(&self) -> &'static str {
        "music"
    }

    fn key(level: Level, key: &str) -> Key {
        match (level, key) {
            (Level::Data, "data") => Key::raw(field::RESULT),
            (Level::Data, "status") => Key::field(field::STATUS),
            (Level::Data, "error") => Key::field(field::EXTRA),
            (Level::Data, "operationType" | "parentMusicId") => Key::IGNORED,
            _ => field::shared(level, key),
        }
    }

    fn read(
        &self,
        task_id: TaskId,
        source: Source,
        scanned: &Scanned<'_>,
        body: &str,
    ) -> MusicEvent {
        task::read(self, task_id, source, scanned, body)
    }

    fn body_limit(&self) -> usize {
        256 * 1024
    }

    fn record_path(&self) -> Option<&'static str> {
        Some("/api/v1/generate/record-info")
    }
}

impl Dialect for Music {
    const MARKERS: &'static [Words] = &[MARKERS];
    const STATUSES: &'static [Words] = &[STATUSES, RECORD];

    fn found(content: Content<'_>) -> Found {
        let (tracks, has_lyrics) = Track::all(content);
        let is_heard = tracks.iter().any(|track| track.any_audio_url().is_some());
        match is_heard {
            true => Found::Usable(Some(sorted(tracks.iter().filter_map(Track::name)))),
            false if has_lyrics => Found::Foreign("lyrics"),
            false => Found::Nothing,
        }
    }

    fn results(content: Content<'_>) -> Vec<String> {
        let (tracks, _) = Track::all(content);
        let links = tracks.iter().filter_map(Track::any_audio_url);
        links.map(str::to_owned).collect()
    }
}
