//! The 72 bodies, and what each is.

use crate::said::{callback, fixture, record};

const MUSIC: &[&str] = &[
    "https://files.example/track-1.mp3",
    "https://files.example/track-2.mp3",
];
const TWO_STEMS: &[&str] = &[
    "https://files.example/vocals.mp3",
    "https://files.example/instrumental.mp3",
];
const MANY_STEMS: &[&str] = &[
    "https://files.example/vocals.mp3",
    "https://files.example/backing.mp3",
    "https://files.example/drums.mp3",
    "https://files.example/bass.mp3",
    "https://files.example/guitar.mp3",
    "https://files.example/keyboard.mp3",
    "https://files.example/percussion.mp3",
    "https://files.example/strings.mp3",
    "https://files.example/synth.mp3",
    "https://files.example/fx.mp3",
    "https://files.example/brass.mp3",
    "https://files.example/woodwinds.mp3",
];
const COVERS: &[&str] = &[
    "https://files.example/cover-1.png",
    "https://files.example/cover-2.png",
];
const TRACK_1: &[&str] = &["https://files.example/track-1.mp3"];
const TRACK_3: &[&str] = &["https://files.example/track-3.mp3"];
const TRACK_4: &[&str] = &["https://files.example/track-4.mp3"];
const WAV: &[&str] = &["https://files.example/track-1.wav"];
const MP4: &[&str] = &["https://files.example/track-1.mp4"];
const JOB: &[&str] = &["https://files.example/result-1.png"];
const VIDEO: &[&str] = &["https://files.example/v.mp4"];

/// Fixture, product, stage, the provider's word, results.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

pub const CALLBACKS: &[Row] = &[
    ("music-text", "music", "text 1", "text", &[]),
    ("music-first", "music", "first 2", "first", TRACK_1),
    ("music-complete", "music", "success", "complete", MUSIC),
    (
        "music-complete-source-urls",
        "music",
        "success",
        "complete",
        TRACK_3,
    ),
    ("music-error", "music", "failure", "error", &[]),
    ("music-error-empty-list", "music", "failure", "error", &[]),
    ("music-error-sunoapi", "music", "failure", "error", &[]),
    ("music-error-refunded", "music", "failure", "error", &[]),
    ("add-instrumental-text", "music", "text 1", "text", &[]),
    (
        "add-vocals-complete",
        "music",
        "success",
        "complete",
        TRACK_4,
    ),
    ("add-vocals-error", "music", "failure", "error", &[]),
    ("replace-section-error", "music", "failure", "error", &[]),
    ("lyrics-complete-kie", "lyrics", "success", "complete", &[]),
    (
        "lyrics-complete-sunoapi",
        "lyrics",
        "success",
        "complete",
        &[],
    ),
    ("lyrics-failed-kie", "lyrics", "failure", "complete", &[]),
    ("lyrics-error-sunoapi", "lyrics", "failure", "error", &[]),
    ("wav-success", "wav", "success", "", WAV),
    ("wav-success-snake", "wav", "success", "", WAV),
    ("wav-failed-kie", "wav", "failure", "", &[]),
    ("wav-failed-sunoapi", "wav", "failure", "", &[]),
    ("stems-two-kie", "stems", "success", "", TWO_STEMS),
    ("stems-two-sunoapi", "stems", "success", "", TWO_STEMS),
    ("stems-many-kie", "stems", "success", "", MANY_STEMS),
    ("stems-many-sunoapi", "stems", "success", "", MANY_STEMS),
    ("stems-failed-kie", "stems", "failure", "", &[]),
    ("stems-failed-sunoapi", "stems", "failure", "", &[]),
    ("midi-success", "midi", "success", "complete", &[]),
    ("midi-failed", "midi", "failure", "", &[]),
    ("midi-failed-top-level-id", "midi", "failure", "", &[]),
    ("mp4-success-kie", "video", "success", "", MP4),
    ("mp4-success-sunoapi", "video", "success", "", MP4),
    ("mp4-failed-kie", "video", "failure", "", &[]),
    ("mp4-failed-sunoapi", "video", "failure", "", &[]),
    ("cover-image-success", "cover-image", "success", "", COVERS),
    ("cover-image-failed", "cover-image", "failure", "", &[]),
    ("job-success", "job", "success", "success", JOB),
    ("job-failed", "job", "failure", "fail", &[]),
    (
        "job-signing-page-sample",
        "job",
        "unknown",
        "task_completed",
        &[],
    ),
    (
        "image-4o-success",
        "any",
        "success",
        "",
        &["https://files.example/i.png"],
    ),
    ("image-4o-failed", "any", "failure", "", &[]),
    ("veo-success", "any", "success", "", VIDEO),
    ("veo-failed", "any", "failure", "", &[]),
    (
        "veo-4k-success",
        "any",
        "success",
        "",
        &["https://files.example/4k.mp4"],
    ),
    ("veo-4k-failed", "any", "failure", "", &[]),
    (
        "flux-success",
        "any",
        "success",
        "",
        &["https://files.example/r.jpg"],
    ),
    ("flux-failed", "any", "failure", "", &[]),
    ("runway-success", "any", "success", "", VIDEO),
    ("runway-failed", "any", "failure", "", &[]),
    ("aleph-success", "any", "success", "", VIDEO),
    ("aleph-failed", "any", "failure", "", &[]),
];

pub const RECORDS: &[Row] = &[
    ("music-record-pending", "music", "pending 0", "PENDING", &[]),
    (
        "music-record-first",
        "music",
        "first 2",
        "FIRST_SUCCESS",
        TRACK_1,
    ),
    ("music-record-success", "music", "success", "SUCCESS", MUSIC),
    (
        "music-record-failed",
        "music",
        "failure",
        "GENERATE_AUDIO_FAILED",
        &[],
    ),
    (
        "music-record-callback-exception",
        "music",
        "success",
        "CALLBACK_EXCEPTION",
        TRACK_1,
    ),
    ("lyrics-record-success", "lyrics", "success", "SUCCESS", &[]),
    (
        "lyrics-record-failed",
        "lyrics",
        "failure",
        "SENSITIVE_WORD_ERROR",
        &[],
    ),
    ("wav-record-success", "wav", "success", "SUCCESS", WAV),
    (
        "wav-record-failed",
        "wav",
        "failure",
        "GENERATE_WAV_FAILED",
        &[],
    ),
    ("stems-record-two", "stems", "success", "SUCCESS", TWO_STEMS),
    (
        "stems-record-many",
        "stems",
        "success",
        "SUCCESS",
        MANY_STEMS,
    ),
    (
        "stems-record-failed",
        "stems",
        "failure",
        "GENERATE_AUDIO_FAILED",
        &[],
    ),
    ("midi-record-success", "midi", "success", "1", &[]),
    ("midi-record-failed", "midi", "failure", "3", &[]),
    ("mp4-record-success", "video", "success", "SUCCESS", MP4),
    (
        "mp4-record-failed",
        "video",
        "failure",
        "GENERATE_MP4_FAILED",
        &[],
    ),
    (
        "cover-image-record-success",
        "cover-image",
        "success",
        "1",
        COVERS,
    ),
    (
        "cover-image-record-failed",
        "cover-image",
        "failure",
        "3",
        &[],
    ),
    ("job-record-waiting", "job", "waiting 0", "waiting", &[]),
    ("job-record-success", "job", "success", "success", JOB),
    ("job-record-failed", "job", "failure", "fail", &[]),
];

/// The task that a fixture names.
pub fn task_of(body: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let ids = ["/data/taskId", "/data/task_id", "/taskId"];
    let id = ids
        .into_iter()
        .find_map(|place| json.pointer(place)?.as_str());
    id.expect("an id").to_owned()
}

#[test]
fn every_callback_is_what_the_document_says() {
    for (name, product, stage, word, results) in CALLBACKS {
        let body = fixture(name);
        let said = callback(product, &body).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(said.task_id, task_of(&body), "{name}");
        assert_eq!((&*said.stage, &*said.name), (*stage, *word), "{name}");
        assert_eq!(said.results, *results, "{name}");
        assert_eq!(said.foreign, None, "{name}");
    }
}

#[test]
fn every_record_is_what_the_document_says() {
    for (name, product, stage, word, results) in RECORDS {
        let body = fixture(name);
        let said = record(product, &task_of(&body), &body);
        let said = said.unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!((&*said.stage, &*said.name), (*stage, *word), "{name}");
        assert_eq!(said.results, *results, "{name}");
        assert_eq!(said.foreign, None, "{name}");
    }
}

#[test]
fn no_fixture_is_left_out() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let files = std::fs::read_dir(path).expect("the fixtures");
    let named = files.map(|file| file.expect("a file").file_name());
    let mut named: Vec<_> = named
        .filter_map(|name| Some(name.to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    let rows = CALLBACKS.iter().chain(RECORDS).map(|row| row.0);
    let mut listed: Vec<_> = rows.chain(["record-unknown"]).collect();
    named.sort_unstable();
    listed.sort_unstable();
    assert_eq!(named, listed);
}

#[test]
fn a_record_that_nobody_has_says_nothing() {
    let body = fixture("record-unknown");
    for product in crate::said::PRODUCTS {
        let said = record(product, "t", &body).expect("a record");
        assert_eq!(said.stage, "unknown", "{product}");
        assert!(callback(product, &body).is_err(), "{product}");
    }
}

#[test]
fn what_can_be_acted_on_is_asked_about_and_progress_without_news_is_not() {
    for (name, product, stage, ..) in CALLBACKS.iter().chain(RECORDS) {
        let body = fixture(name);
        let said = record(product, &task_of(&body), &body).expect("an event");
        let is_news = *product != "any" && !stage.ends_with(" 0");
        let by_callback = callback(product, &body).expect("an event").confirms;
        assert_eq!(by_callback, is_news, "{name}");
        assert_eq!(
            said.is_final,
            matches!(&*said.stage, "success" | "failure"),
            "{name}"
        );
    }
}
