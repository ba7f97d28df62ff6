//! One URL that receives everything.

use super::{
    Product, Source, TaskEvent, TaskOutcome,
    task::{self, Content, Dialect, Found, JOB, Json, RECORD, Word, Words, field, job_urls, names},
};
use crate::event::{Key, Level, Scanned, TaskId};

/// Whatever an account calls back with, untyped: for one URL that receives all products, and for
/// those without a type here (4o image, Veo, Flux Kontext, Runway, Aleph, Midjourney).
///
/// Documented: the success and the failure of each
/// (<https://docs.kie.ai/4o-image-api/generate-4-o-image-callbacks>,
/// <https://docs.kie.ai/veo3-api/generate-veo-3-video-callbacks>,
/// <https://docs.kie.ai/flux-kontext-api/generate-or-edit-image-callbacks>,
/// <https://docs.kie.ai/runway-api/generate-ai-video-callbacks>,
/// <https://docs.kie.ai/runway-api/generate-aleph-video-callbacks>); Midjourney's was seen in public
/// code.
///
/// **What is guessed**: a stage comes from whatever code and words there are, so a success says less
/// than one of a product that knows its results, and the links that are collected are plain ones at
/// known places. Nothing is confirmed, because no field names the product whose record it would be.
/// Two bodies of one task are one event only where they are the same text, and none is late: Veo
/// calls back twice with a success of the same task, the second time in 4K. So whoever has captured
/// one header pair can have 256 bodies handed over while it is fresh; see
/// [`Limits::events_per_task`](crate::Limits::events_per_task). Prefer a route for each product.
///
/// A body is at most 4 MiB, the largest of any product ([`Midi`](crate::product::Midi)).
///
/// # Example
///
/// ```
/// use suno_callback::product::{AnyOutcome, AnyProduct, Product};
///
/// let event = AnyProduct.parse(
///     r#"{"code":200,"data":{"taskId":"t","info":{"resultUrls":["https://files.example/v.mp4"]}}}"#,
/// )?;
/// assert_eq!(event.outcome(), AnyOutcome::Ready(vec!["https://files.example/v.mp4".into()]));
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AnyProduct;

/// One event of some task.
pub type AnyEvent = TaskEvent<AnyProduct>;

/// What such an event seems to mean; [`Ready`](TaskOutcome::Ready) has the links at known places,
/// and none where nothing looks like one.
pub type AnyOutcome<'a> = TaskOutcome<'a, Vec<String>>;

const MAX_LINKS: usize = 64;

const MARKERS: Words = &[
    ("text", Word::Progress("text", 1)),
    ("first", Word::Progress("first", 1)),
    ("complete", Word::Success),
    ("error", Word::Failure),
    ("failed", Word::Failure),
];

/// Of MIDI, and of Runway's records.
const STATES: Words = &[
    ("complete", Word::Success),
    ("wait", Word::Progress("waiting", 0)),
    ("queueing", Word::Progress("queuing", 0)),
];

/// Of voices, and of music's records.
const STATUSES: Words = &[
    ("wait_processing", Word::Progress("wait_processing", 0)),
    (
        "processing_validate",
        Word::Progress("processing_validate", 0),
    ),
    ("processing_validate_fail", Word::Failure),
    ("wait_validating", Word::Progress("wait_validating", 1)),
    ("fail", Word::Failure),
    ("failed", Word::Failure),
    ("TEXT_SUCCESS", Word::Progress("text", 1)),
    ("FIRST_SUCCESS", Word::Progress("first", 1)),
];

/// What the numbers mean in every record that has them: 2 means two things, and so does 0.
const FLAGS: Words = &[("1", Word::Success), ("3", Word::Failure)];

impl TaskEvent<AnyProduct> {
    /// What the event seems to mean.
    pub fn outcome(&self) -> AnyOutcome<'_> {
        self.outcome_of(|| Some(self.links()))
    }

    /// The links at known places, at most 64, whatever the stage.
    pub fn links(&self) -> Vec<String> {
        self.reading().content(links)
    }
}

impl Product for AnyProduct {
    type Event = AnyEvent;

    fn name(&self) -> &'static str {
        "any"
    }

    /// No key is another product's here, and results are looked for in the whole body.
    fn key(level: Level, key: &str) -> Key {
        match (level, key) {
            (Level::Data, "status") => Key::field(field::STATUS),
            (Level::Data, "successFlag") => Key::field(field::FLAG),
            (Level::Top, "code" | "msg") => field::shared(level, key),
            (Level::Data, "callbackType" | "callback_type" | "state") => field::shared(level, key),
            (Level::Data, "errorCode" | "failCode" | "errorMessage" | "failMsg") => {
                field::shared(level, key)
            }
            _ => Key::IGNORED,
        }
    }

    fn read(&self, task_id: TaskId, source: Source, scanned: &Scanned<'_>, body: &str) -> AnyEvent {
        task::read(self, task_id, source, scanned, body)
    }

    fn body_limit(&self) -> usize {
        4 * 1024 * 1024
    }

    fn confirms(&self, _: &AnyEvent) -> bool {
        false
    }
}

impl Dialect for AnyProduct {
    const IS_MARKED: bool = false;
    const NEEDS_RESULT: bool = false;
    const IS_UNTYPED: bool = true;
    const MARKERS: &'static [Words] = &[MARKERS];
    const STATES: &'static [Words] = &[STATES, JOB];
    const STATUSES: &'static [Words] = &[STATUSES, RECORD];
    const FLAGS: &'static [Words] = &[FLAGS, RECORD];

    /// What two successes of a task that need not be of one product should agree on nobody can say.
    fn found(content: Content<'_>) -> Found {
        match links(content).is_empty() {
            true => Found::Nothing,
            false => Found::Usable(None),
        }
    }

    fn results(content: Content<'_>) -> Vec<String> {
        links(content)
    }
}

fn links(content: Content<'_>) -> Vec<String> {
    let Content::Body(body) = content else {
        return Vec::new();
    };
    let [data] = body.pick(&[&["data"]]);
    let Some(data) = data else { return Vec::new() };
    let mut links = direct(data);
    let [info, response, stems, list, result] = data.pick(&[
        &["info"],
        &["response"],
        &["vocal_separation_info", "vocal_removal_info"],
        &["data"],
        &["resultJson"],
    ]);
    for object in [info, response].into_iter().flatten() {
        links.extend(direct(object));
    }
    let [suno_data] = response.unwrap_or(data).pick(&[&["sunoData"]]);
    for tracks in [list, suno_data].into_iter().flatten() {
        tracks.each(|track| links.extend(audio(track)));
    }
    let stems = stems.or(response);
    links.extend(stems.into_iter().flat_map(super::stems::links));
    let of_job = result.and_then(|result| result.unfold(job_urls));
    links.extend(of_job.unwrap_or_default());
    links.truncate(MAX_LINKS);
    links
}

/// The links that stand in an object itself.
fn direct(object: Json<'_>) -> Vec<String> {
    let [wav, video, aleph, flux, images, urls] = object.pick(&[
        &["audioWavUrl", "audio_wav_url"],
        &["video_url", "videoUrl"],
        &["result_video_url"],
        &["resultImageUrl"],
        &["images"],
        &["resultUrls", "result_urls"],
    ]);
    let one = [wav, video, aleph, flux].into_iter().flatten();
    let mut links: Vec<_> = one.filter_map(Json::link).collect();
    links.extend(names(images));
    links.extend(names(urls));
    links
}

fn audio(track: Json<'_>) -> Option<String> {
    let [link] = track.pick(&[&["audio_url", "audioUrl"]]);
    link?.link()
}
