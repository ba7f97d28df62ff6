use std::fmt;

use crate::{product::task::Json, util::Escaped};

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

impl Stem {
    /// The stems of the object that has their links.
    pub(super) fn all(info: Json<'_>) -> Vec<Self> {
        let links = info.pick(&KEYS);
        let stems = KINDS.into_iter().zip(links);
        stems
            .filter_map(|(kind, link)| {
                Some(Self {
                    kind,
                    url: link?.link()?,
                })
            })
            .collect()
    }

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
    pub(super) fn of(entry: Json<'_>) -> Option<Self> {
        let [id, group, duration, audio_url] = entry.pick(&[
            &["id"],
            &["stem_type_group_name", "stemTypeGroupName"],
            &["duration"],
            &["audio_url", "audioUrl"],
        ]);
        Some(Self {
            id: id?.id()?,
            group: group.and_then(Json::words),
            duration: duration.and_then(Json::number),
            audio_url: audio_url.and_then(Json::link),
        })
    }

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
            .field("id", &Escaped(&self.id))
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}
