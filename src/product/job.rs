//! Market jobs, whatever they make.

use super::{
    Product, Source, TaskEvent, TaskOutcome,
    task::{self, Content, Dialect, Found, Json, field, found, job_urls},
};
use crate::event::{Key, Level, Scanned, TaskId};

/// The callbacks of `POST /api/v1/jobs/createTask`, of any model.
///
/// Documented: success and failure in one shape, and the record
/// (<https://docs.kie.ai/market/common/get-task-detail>); records of 23 models were recorded, no
/// delivery was. The page about signatures has a sample of another shape, with
/// `callbackType: task_completed` and no state
/// (<https://docs.kie.ai/common-api/webhook-verification>): nothing in it says how the job ended, so
/// it is [`Unknown`](TaskOutcome::Unknown).
///
/// Since September 2026 the Suno products are jobs too (`ai-music-api/...`), and which of the two
/// shapes such a task calls back with is not settled; every product here reads both.
///
/// A body is at most 256 KiB: the whole request is echoed in `param`, prompt and **callback URL**
/// included, so a body is nothing for a log. Links expire after 24 hours for some models.
///
/// # Example
///
/// ```
/// use suno_callback::product::{Job, JobOutcome, Product};
///
/// let event = Job.parse(
///     r#"{"code":200,"data":{"taskId":"t","model":"vendor/model","state":"success",
///         "resultJson":"{\"resultUrls\":[\"https://files.example/1.png\"]}"}}"#,
/// )?;
/// let JobOutcome::Ready(result) = event.outcome() else { panic!("{event:?}") };
/// assert_eq!(result.urls(), ["https://files.example/1.png"]);
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Job;

/// One event in the life of a job.
pub type JobEvent = TaskEvent<Job>;

/// What such an event means; [`Ready`](TaskOutcome::Ready) has what `resultJson` holds: links, or an
/// object of the model's own.
pub type JobOutcome<'a> = TaskOutcome<'a, JobResult>;

/// What a job brought. Hostile until confirmed.
#[derive(Clone, PartialEq, Eq)]
pub struct JobResult {
    urls: Vec<String>,
    json: String,
}

impl TaskEvent<Job> {
    /// What the event means.
    pub fn outcome(&self) -> JobOutcome<'_> {
        self.outcome_of(|| self.result_json())
    }

    /// What `resultJson` holds, whatever the state: for acting on it, match on
    /// [`outcome`](Self::outcome). Read anew by each call; `None` where it is no JSON.
    pub fn result_json(&self) -> Option<JobResult> {
        self.reading().content(|content| match content {
            Content::Job(result) => Some(JobResult {
                urls: job_urls(result),
                json: result.as_str().to_owned(),
            }),
            _ => None,
        })
    }

    /// The model, such as `ai-music-api/generate`. Hostile until confirmed.
    pub fn model(&self) -> Option<&str> {
        self.reading().extra()
    }
}

impl JobResult {
    /// `resultUrls`. What makes a voice may have an id here.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The JSON text of all of it, for models that answer with `resultObject` or `data`.
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// Without the links.
impl std::fmt::Debug for JobResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobResult")
            .field("urls", &self.urls.len())
            .finish_non_exhaustive()
    }
}

impl Product for Job {
    type Event = JobEvent;

    fn name(&self) -> &'static str {
        "job"
    }

    fn key(level: Level, key: &str) -> Key {
        match (level, key) {
            (Level::Data, "model") => Key::field(field::EXTRA),
            (Level::Data, "response") => Key::foreign("another product's record"),
            _ => field::shared(level, key),
        }
    }

    fn read(&self, task_id: TaskId, source: Source, scanned: &Scanned<'_>, body: &str) -> JobEvent {
        task::read(self, task_id, source, scanned, body)
    }

    fn body_limit(&self) -> usize {
        256 * 1024
    }

    fn record_path(&self) -> Option<&'static str> {
        Some("/api/v1/jobs/recordInfo")
    }
}

impl Dialect for Job {
    const IS_MARKED: bool = true;

    /// Two successes must agree on the links, or on the ids where there are none. Where there is
    /// neither, any two agree: the same object may be written in two ways.
    fn found(content: Content<'_>) -> Found {
        let Content::Job(result) = content else {
            return Found::Nothing;
        };
        let [object, data] = result.pick(&[&["resultObject"], &["data"]]);
        let has_object = [object, data]
            .into_iter()
            .flatten()
            .any(Json::holds_something);
        match found(&names(result)) {
            Found::Nothing if has_object => Found::Usable(None),
            found => found,
        }
    }

    fn results(content: Content<'_>) -> Vec<String> {
        match content {
            Content::Job(result) => names(result),
            _ => Vec::new(),
        }
    }
}

/// The links of a result, or the ids of what it holds.
fn names(result: Json<'_>) -> Vec<String> {
    let urls = job_urls(result);
    if !urls.is_empty() {
        return urls;
    }
    let [object, data] = result.pick(&[&["resultObject"], &["data"]]);
    let mut ids: Vec<_> = id(result).into_iter().collect();
    for value in [object, data].into_iter().flatten() {
        ids.extend(id(value));
        value.each(|entry| ids.extend(id(entry)));
        let [entries] = value.pick(&[&["data"]]);
        if let Some(entries) = entries {
            entries.each(|entry| ids.extend(id(entry)));
        }
    }
    ids
}

fn id(value: Json<'_>) -> Option<String> {
    let [voice, recording, persona, id] = value.pick(&[
        &["voiceId", "voice_id"],
        &["voice_recording_id"],
        &["persona_id", "personaId"],
        &["id"],
    ]);
    voice.or(recording).or(persona).or(id)?.id()
}
