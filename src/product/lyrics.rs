//! Lyrics.

use sha2::{Digest, Sha256};

use super::{
    Product, Source, TaskEvent, TaskOutcome,
    task::{self, Content, Dialect, Found, Json, Word, Words, field},
};
use crate::event::{Key, Level, Scanned, TaskId};

/// The callbacks of `POST /api/v1/lyrics`.
///
/// Documented: success and failure of both providers, which differ, and the record
/// (<https://docs.kie.ai/suno-api/generate-lyrics-callbacks>,
/// <https://docs.sunoapi.org/suno-api/generate-lyrics-callbacks>,
/// <https://docs.kie.ai/suno-api/get-lyrics-details>). There is one event a task. kie says `complete`
/// of a failure too, so a code that is not 200 is one. One of several texts may have failed within a
/// success: it is in no result. Nobody has published a recorded delivery.
///
/// A body is at most 128 KiB: several texts of some thousand letters, each of which may be written
/// as an escape of six or twelve bytes.
///
/// # Example
///
/// ```
/// use suno_callback::product::{Lyrics, LyricsOutcome, Product};
///
/// let event = Lyrics.parse(
///     r#"{"code":200,"data":{"callbackType":"complete","task_id":"t",
///         "data":[{"title":"Harbour","text":"The lamps go out"}]}}"#,
/// )?;
/// let LyricsOutcome::Ready(texts) = event.outcome() else { panic!("{event:?}") };
/// assert_eq!(texts[0].title(), Some("Harbour"));
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lyrics;

/// One event in the life of lyrics.
pub type LyricsEvent = TaskEvent<Lyrics>;

/// What such an event means; [`Ready`](TaskOutcome::Ready) has at least one text, in the provider's
/// order, and none of those that failed.
pub type LyricsOutcome<'a> = TaskOutcome<'a, Vec<LyricsText>>;

/// One of the texts that were written. Hostile until confirmed.
#[derive(Clone, PartialEq, Eq)]
pub struct LyricsText {
    title: Option<String>,
    text: String,
}

const MARKERS: Words = &[
    ("complete", Word::Success),
    ("error", Word::Failure),
    ("failed", Word::Failure),
];

impl TaskEvent<Lyrics> {
    /// What the event means.
    pub fn outcome(&self) -> LyricsOutcome<'_> {
        self.outcome_of(|| Some(self.texts()))
    }

    /// The texts that did not fail, whatever the stage: for acting on them, match on
    /// [`outcome`](Self::outcome).
    pub fn texts(&self) -> Vec<LyricsText> {
        self.reading().content(|content| texts(content).0)
    }
}

impl LyricsText {
    /// The title, where there is one.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The text, never blank.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Without the text.
impl std::fmt::Debug for LyricsText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LyricsText").finish_non_exhaustive()
    }
}

impl Product for Lyrics {
    type Event = LyricsEvent;

    fn name(&self) -> &'static str {
        "lyrics"
    }

    fn key(level: Level, key: &str) -> Key {
        match (level, key) {
            (Level::Data, "data") => Key::raw(field::RESULT),
            (Level::Data, "status") => Key::field(field::STATUS),
            _ => field::shared(level, key),
        }
    }

    fn read(
        &self,
        task_id: TaskId,
        source: Source,
        scanned: &Scanned<'_>,
        body: &str,
    ) -> LyricsEvent {
        task::read(self, task_id, source, scanned, body)
    }

    fn body_limit(&self) -> usize {
        128 * 1024
    }

    fn record_path(&self) -> Option<&'static str> {
        Some("/api/v1/lyrics/record-info")
    }
}

impl Dialect for Lyrics {
    const MARKERS: &'static [Words] = &[MARKERS];

    fn found(content: Content<'_>) -> Found {
        match texts(content) {
            (texts, _) if !texts.is_empty() => Found::Usable(Some(digest(&texts))),
            (_, true) => Found::Foreign("music"),
            (_, false) => Found::Nothing,
        }
    }

    /// Neither links nor ids.
    fn results(_: Content<'_>) -> Vec<String> {
        Vec::new()
    }
}

/// The usable texts, and whether there are tracks instead.
fn texts(content: Content<'_>) -> (Vec<LyricsText>, bool) {
    let mut texts = Vec::new();
    let mut has_tracks = false;
    if let Some(entries) = entries(content) {
        entries.each(|entry| {
            texts.extend(text(entry));
            has_tracks |= is_track(entry);
        });
    }
    (texts, has_tracks)
}

fn entries(content: Content<'_>) -> Option<Json<'_>> {
    match content {
        Content::Callback(list) => Some(list),
        Content::Record(response) => {
            let [texts, tracks] = response.pick(&[&["data"], &["sunoData"]]);
            texts.or(tracks)
        }
        Content::Job(result) => {
            let [inner, texts] = result.pick(&[&["resultObject"], &["lyricsData", "data"]]);
            let [within] = inner.unwrap_or(result).pick(&[&["lyricsData", "data"]]);
            within.or(texts)
        }
        Content::Body(_) => None,
    }
}

fn text(entry: Json<'_>) -> Option<LyricsText> {
    let [title, text, status] = entry.pick(&[&["title"], &["text"], &["status"]]);
    let status = status.and_then(Json::text).unwrap_or_default();
    let has_failed = ["failed", "fail", "error"].contains(&&*status.trim().to_ascii_lowercase());
    let text = text.filter(|_| !has_failed)?.words()?;
    let title = title.and_then(Json::words);
    Some(LyricsText { title, text })
}

/// Whether it has what only tracks have.
fn is_track(entry: Json<'_>) -> bool {
    let [audio, stream, text] = entry.pick(&[
        &["audio_url", "audioUrl"],
        &["stream_audio_url", "streamAudioUrl"],
        &["text"],
    ]);
    text.is_none() && (audio.is_some() || stream.is_some())
}

/// What two successes must agree on: so many bytes of text are kept nowhere and shown to nobody.
fn digest(texts: &[LyricsText]) -> String {
    let mut sorted: Vec<_> = texts.iter().map(LyricsText::text).collect();
    sorted.sort_unstable();
    let digest = Sha256::digest(sorted.join("\0"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
