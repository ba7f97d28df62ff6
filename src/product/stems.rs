//! Stems: a track taken apart into voice and instruments.

use std::fmt;

use super::{
    Product, Source, TaskEvent, TaskOutcome,
    task::{self, Content, Dialect, Found, Json, agreed, field},
};
use crate::event::{Key, Level, Scanned, TaskId};

/// The callbacks of `POST /api/v1/vocal-removal/generate`, of both its types.
///
/// Documented: success and failure of both providers, and the record
/// (<https://docs.kie.ai/suno-api/separate-vocals-callbacks>,
/// <https://docs.sunoapi.org/suno-api/separate-vocals-from-music-callbacks>,
/// <https://docs.kie.ai/suno-api/get-vocal-separation-details>). There is one event a task, and no
/// word in it: the code and the links decide. They stand in `vocal_separation_info` or in
/// `vocal_removal_info`. Handled in public code; nobody has published a recorded delivery.
///
/// A body is at most 64 KiB: some callbacks name each of up to 14 files twice, and a link that was
/// signed with a session has more than a kilobyte.
///
/// # Example
///
/// ```
/// use suno_callback::product::{Product, StemKind, Stems, StemsOutcome};
///
/// let event = Stems.parse(
///     r#"{"code":200,"data":{"task_id":"t","vocal_removal_info":{
///         "origin_url":"","vocal_url":"https://files.example/v.mp3"}}}"#,
/// )?;
/// let StemsOutcome::Ready(stems) = event.outcome() else { panic!("{event:?}") };
/// assert_eq!(stems[0].kind(), StemKind::Vocal);
/// assert_eq!(stems[0].url(), "https://files.example/v.mp3");
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stems;

/// One event in the life of stems.
pub type StemsEvent = TaskEvent<Stems>;

/// What such an event means; a success brought stems.
pub type StemsOutcome<'a> = TaskOutcome<'a, Vec<Stem>>;

/// One of the files that a track was taken apart into.
#[derive(Clone, PartialEq, Eq)]
pub struct Stem {
    kind: StemKind,
    url: String,
}

/// The same file, with the id by which `POST /api/v1/midi/generate` wants it.
#[derive(Clone, PartialEq)]
pub struct StemOrigin {
    id: String,
    group: Option<String>,
    duration: Option<f64>,
    audio_url: Option<String>,
}

/// What is heard in a stem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // as they are called
pub enum StemKind {
    Vocal,
    Instrumental,
    BackingVocals,
    Drums,
    Bass,
    Guitar,
    Keyboard,
    /// In one page's schema only.
    Piano,
    Percussion,
    Strings,
    Synth,
    Fx,
    Brass,
    Woodwinds,
}

const KINDS: [StemKind; 14] = [
    StemKind::Vocal,
    StemKind::Instrumental,
    StemKind::BackingVocals,
    StemKind::Drums,
    StemKind::Bass,
    StemKind::Guitar,
    StemKind::Keyboard,
    StemKind::Piano,
    StemKind::Percussion,
    StemKind::Strings,
    StemKind::Synth,
    StemKind::Fx,
    StemKind::Brass,
    StemKind::Woodwinds,
];

/// In callbacks, and in records; in the order of `KINDS`.
const KEYS: [&[&str]; 14] = [
    &["vocal_url", "vocalUrl"],
    &["instrumental_url", "instrumentalUrl"],
    &["backing_vocals_url", "backingVocalsUrl"],
    &["drums_url", "drumsUrl"],
    &["bass_url", "bassUrl"],
    &["guitar_url", "guitarUrl"],
    &["keyboard_url", "keyboardUrl"],
    &["piano_url", "pianoUrl"],
    &["percussion_url", "percussionUrl"],
    &["strings_url", "stringsUrl"],
    &["synth_url", "synthUrl"],
    &["fx_url", "fxUrl"],
    &["brass_url", "brassUrl"],
    &["woodwinds_url", "woodwindsUrl"],
];

impl TaskEvent<Stems> {
    /// What the event means.
    pub fn outcome(&self) -> StemsOutcome<'_> {
        self.outcome_of(|| Some(self.stems()))
    }

    /// The stems that were found, whatever the stage: for acting on them, match on
    /// [`outcome`](Self::outcome).
    pub fn stems(&self) -> Vec<Stem> {
        self.reading().content(stems)
    }

    /// The same files with their ids: in records, and in some callbacks.
    pub fn origins(&self) -> Vec<StemOrigin> {
        self.reading().content(|content| {
            let [list] = info(content).pick(&[&["originData", "origin_data"]]);
            let mut origins = Vec::new();
            if let Some(list) = list {
                list.each(|entry| origins.extend(origin(entry)));
            }
            origins
        })
    }
}

impl Stem {
    /// What is heard in it.
    pub fn kind(&self) -> StemKind {
        self.kind
    }

    /// The link to the file.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl StemOrigin {
    /// What the provider calls the file.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `stem_type_group_name`, such as `Vocals`. Hostile until confirmed.
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// How long it is, in seconds.
    pub fn duration(&self) -> Option<f64> {
        self.duration
    }

    /// The link to the file.
    pub fn audio_url(&self) -> Option<&str> {
        self.audio_url.as_deref()
    }
}

impl StemKind {
    /// The provider's word, such as `backing_vocals`.
    pub fn as_str(self) -> &'static str {
        let at = KINDS.iter().position(|kind| *kind == self);
        let key = at.and_then(|at| KEYS.get(at)?.first().copied());
        key.and_then(|key| key.strip_suffix("_url"))
            .unwrap_or_default()
    }
}

/// Without the link.
impl fmt::Debug for Stem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stem")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Without the link.
impl fmt::Debug for StemOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StemOrigin")
            .field("id", &crate::util::Escaped(&self.id))
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

impl Product for Stems {
    type Event = StemsEvent;

    fn name(&self) -> &'static str {
        "stems"
    }

    fn key(level: Level, key: &str) -> Key {
        match (level, key) {
            (Level::Data, "vocal_separation_info") => Key::raw(field::RESULT),
            (Level::Data, "vocal_removal_info") => Key::raw(field::RESULT).respelled(),
            (Level::Data, "successFlag") => Key::field(field::FLAG),
            _ => field::shared(level, key),
        }
    }

    fn read(
        &self,
        task_id: TaskId,
        source: Source,
        scanned: &Scanned<'_>,
        body: &str,
    ) -> StemsEvent {
        task::read(self, task_id, source, scanned, body)
    }

    fn body_limit(&self) -> usize {
        64 * 1024
    }

    fn record_path(&self) -> Option<&'static str> {
        Some("/api/v1/vocal-removal/record-info")
    }

    fn confirms(&self, event: &StemsEvent) -> bool {
        event.is_worth_asking()
    }
}

impl Dialect for Stems {
    /// Two successes must agree on which stem is which file.
    fn found(content: Content<'_>) -> Found {
        let stems = stems(content);
        if stems.is_empty() {
            return Found::Nothing;
        }
        let named = stems
            .iter()
            .map(|stem| format!("{} {}", stem.kind.as_str(), stem.url));
        let named: Vec<_> = named.collect();
        Found::Usable(Some(agreed(named.iter().map(String::as_str))))
    }

    fn results(content: Content<'_>) -> Vec<String> {
        links(info(content))
    }
}

/// The links of the object that has them.
pub(super) fn links(info: Json<'_>) -> Vec<String> {
    stems_of(info).into_iter().map(|stem| stem.url).collect()
}

fn stems(content: Content<'_>) -> Vec<Stem> {
    stems_of(info(content))
}

fn stems_of(info: Json<'_>) -> Vec<Stem> {
    let links = info.pick(&KEYS);
    let stems = KINDS.into_iter().zip(links);
    let stem = |(kind, link): (StemKind, Option<Json<'_>>)| {
        Some(Stem {
            kind,
            url: link?.name()?,
        })
    };
    stems.filter_map(stem).collect()
}

/// The object with the links.
fn info(content: Content<'_>) -> Json<'_> {
    match content {
        Content::Callback(info) | Content::Record(info) | Content::Body(info) => info,
        Content::Job(result) => {
            let [inner] = result.pick(&[&["resultObject", "data"]]);
            inner.unwrap_or(result)
        }
    }
}

fn origin(entry: Json<'_>) -> Option<StemOrigin> {
    let [id, group, duration, audio_url] = entry.pick(&[
        &["id"],
        &["stem_type_group_name", "stemTypeGroupName"],
        &["duration"],
        &["audio_url", "audioUrl"],
    ]);
    Some(StemOrigin {
        id: id?.name()?,
        group: group.and_then(Json::words),
        duration: duration.and_then(Json::number),
        audio_url: audio_url.and_then(Json::name),
    })
}
