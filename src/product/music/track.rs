use std::fmt;

use crate::product::task::{Content, Json, unsigned};

/// A track, as the provider describes it: every text and link is hostile until confirmed.
///
/// Callbacks write `audio_url`, records `audioUrl`; both are read. What is absent, `null`, empty or
/// of an odd type is `None`. Audio links are there once the track can be heard.
#[derive(Clone, Default, PartialEq)]
pub struct Track {
    id: Option<String>,
    title: Option<String>,
    tags: Option<String>,
    prompt: Option<String>,
    model_name: Option<String>,
    create_time: Option<String>,
    duration: Option<f64>,
    audio_url: Option<String>,
    stream_audio_url: Option<String>,
    image_url: Option<String>,
    source_audio_url: Option<String>,
    source_stream_audio_url: Option<String>,
    source_image_url: Option<String>,
}

const KEYS: [&[&str]; 13] = [
    &["id"],
    &["title"],
    &["tags"],
    &["prompt"],
    &["model_name", "modelName"],
    &["createTime", "create_time"],
    &["duration"],
    &["audio_url", "audioUrl"],
    &["stream_audio_url", "streamAudioUrl"],
    &["image_url", "imageUrl"],
    &["source_audio_url", "sourceAudioUrl"],
    &["source_stream_audio_url", "sourceStreamAudioUrl"],
    &["source_image_url", "sourceImageUrl"],
];

impl Track {
    /// What the provider calls the track.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The title.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The style, such as `folk, calm`. Added vocals have none.
    pub fn tags(&self) -> Option<&str> {
        self.tags.as_deref()
    }

    /// The lyrics, or what was asked for.
    pub fn prompt(&self) -> Option<&str> {
        self.prompt.as_deref()
    }

    /// The model, such as `chirp-v4-5`.
    pub fn model_name(&self) -> Option<&str> {
        self.model_name.as_deref()
    }

    /// When it was made: `2025-01-01 00:00:00`, or on some pages milliseconds since 1970.
    pub fn create_time(&self) -> Option<&str> {
        self.create_time.as_deref()
    }

    /// How long it is, in seconds.
    pub fn duration(&self) -> Option<f64> {
        self.duration
    }

    /// The link to the file.
    pub fn audio_url(&self) -> Option<&str> {
        self.audio_url.as_deref()
    }

    /// The link to listen while it is made.
    pub fn stream_audio_url(&self) -> Option<&str> {
        self.stream_audio_url.as_deref()
    }

    /// The link to the cover.
    pub fn image_url(&self) -> Option<&str> {
        self.image_url.as_deref()
    }

    /// The link to the file where it was made: uploads on kie.ai, everything on sunoapi.org.
    pub fn source_audio_url(&self) -> Option<&str> {
        self.source_audio_url.as_deref()
    }

    /// As [`source_audio_url`](Self::source_audio_url), of the stream.
    pub fn source_stream_audio_url(&self) -> Option<&str> {
        self.source_stream_audio_url.as_deref()
    }

    /// As [`source_audio_url`](Self::source_audio_url), of the cover.
    pub fn source_image_url(&self) -> Option<&str> {
        self.source_image_url.as_deref()
    }

    /// The best link to hear it by.
    pub(super) fn any_audio_url(&self) -> Option<&str> {
        let links = [
            self.audio_url(),
            self.source_audio_url(),
            self.stream_audio_url(),
            self.source_stream_audio_url(),
        ];
        links.into_iter().flatten().next()
    }

    /// What tells it from other tracks.
    pub(super) fn name(&self) -> Option<&str> {
        self.id().or_else(|| self.any_audio_url().map(unsigned))
    }

    /// The tracks, and whether there are lyrics instead.
    pub(super) fn all(content: Content<'_>) -> (Vec<Self>, bool) {
        let mut tracks = Vec::new();
        let mut has_lyrics = false;
        if let Some(list) = list(content) {
            list.each(|entry| {
                let track = Self::of(entry);
                has_lyrics |= track.name().is_none() && has_text(entry);
                tracks.extend(Some(track).filter(|track| *track != Self::default()));
            });
        }
        match has_lyrics {
            true => (Vec::new(), true),
            false => (tracks, false),
        }
    }

    fn of(entry: Json<'_>) -> Self {
        let [
            id,
            title,
            tags,
            prompt,
            model,
            created,
            duration,
            links @ ..,
        ] = entry.pick(&KEYS);
        let words = |value: Option<Json<'_>>| value.and_then(Json::words);
        let [
            audio,
            stream,
            image,
            source_audio,
            source_stream,
            source_image,
        ] = links.map(|link| link.and_then(Json::link));
        Self {
            id: id.and_then(Json::id),
            title: words(title),
            tags: words(tags),
            prompt: words(prompt),
            model_name: words(model),
            create_time: words(created).or_else(|| created.and_then(Json::id)),
            duration: duration.and_then(Json::number),
            audio_url: audio,
            stream_audio_url: stream,
            image_url: image,
            source_audio_url: source_audio,
            source_stream_audio_url: source_stream,
            source_image_url: source_image,
        }
    }
}

/// Its id: neither texts nor links.
impl fmt::Debug for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Track")
            .field("id", &self.id().map(crate::util::Escaped))
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

/// A callback has its tracks in `data`, a record in `response.sunoData`, a job in `data` of its
/// result. Lyrics stand in `response.data`.
fn list(content: Content<'_>) -> Option<Json<'_>> {
    match content {
        Content::Callback(list) => Some(list),
        Content::Record(response) => {
            let [tracks, others] = response.pick(&[&["sunoData", "suno_data"], &["data"]]);
            tracks.or(others)
        }
        Content::Job(result) => {
            const TRACKS: &[&str] = &["data", "sunoData", "lyricsData"];
            let [inner, tracks] = result.pick(&[&["resultObject"], TRACKS]);
            let [within] = inner.unwrap_or(result).pick(&[TRACKS]);
            within.or(tracks)
        }
        Content::Body(_) => None,
    }
}

fn has_text(entry: Json<'_>) -> bool {
    let [text] = entry.pick(&[&["text"]]);
    text.is_some()
}
