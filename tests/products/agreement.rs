//! A callback and the record of the same task say the same.

use crate::{
    fixtures::task_of,
    said::{callback, fixture, record},
};

const PAIRS: &[(&str, &str, &str)] = &[
    ("music", "music-first", "music-record-first"),
    ("music", "music-complete", "music-record-success"),
    ("music", "music-error", "music-record-failed"),
    ("lyrics", "lyrics-complete-kie", "lyrics-record-success"),
    ("lyrics", "lyrics-failed-kie", "lyrics-record-failed"),
    ("wav", "wav-success", "wav-record-success"),
    ("wav", "wav-success-snake", "wav-record-success"),
    ("wav", "wav-failed-kie", "wav-record-failed"),
    ("stems", "stems-two-kie", "stems-record-two"),
    ("stems", "stems-two-sunoapi", "stems-record-two"),
    ("stems", "stems-many-kie", "stems-record-many"),
    ("stems", "stems-many-sunoapi", "stems-record-many"),
    ("stems", "stems-failed-kie", "stems-record-failed"),
    ("midi", "midi-success", "midi-record-success"),
    ("midi", "midi-failed", "midi-record-failed"),
    ("video", "mp4-success-kie", "mp4-record-success"),
    ("video", "mp4-failed-kie", "mp4-record-failed"),
    (
        "cover-image",
        "cover-image-success",
        "cover-image-record-success",
    ),
    (
        "cover-image",
        "cover-image-failed",
        "cover-image-record-failed",
    ),
    ("job", "job-success", "job-record-success"),
    ("job", "job-failed", "job-record-failed"),
];

#[test]
fn a_callback_and_its_record_agree_in_stage_and_result() {
    for (product, of_callback, of_record) in PAIRS {
        let (told, asked) = (fixture(of_callback), fixture(of_record));
        let told = callback(product, &told).expect("a callback");
        let asked = record(product, &task_of(&asked), &asked).expect("a record");
        assert_eq!(told.stage, asked.stage, "{of_callback}");
        assert_eq!(told.result, asked.result, "{of_callback}");
        assert_eq!(told.variant, asked.variant, "{of_callback}");
        let has_result = told.stage == "success" && *product != "midi";
        assert_eq!(told.result.is_some(), has_result, "{of_callback}");
    }
}

#[test]
fn a_link_that_is_signed_anew_is_the_same_result_and_another_file_is_not() {
    for (product, name) in [
        ("wav", "wav-success"),
        ("stems", "stems-many-kie"),
        ("video", "mp4-success-kie"),
        ("cover-image", "cover-image-success"),
        ("job", "job-success"),
    ] {
        let body = fixture(name);
        let plain = callback(product, &body).expect("an event");
        let links = &plain.results;
        let with = |suffix: &str| {
            let replace =
                |body: String, link: &String| body.replace(link, &format!("{link}{suffix}"));
            let body = links.iter().fold(body.clone(), replace);
            callback(product, body).expect("an event")
        };
        let signed = with("?sig=1&exp=2#x");
        assert_eq!(signed.result, plain.result, "{name}");
        assert_ne!(signed.results, plain.results, "{name}");
        assert_ne!(with("x").result, plain.result, "{name}");
    }
}

#[test]
fn the_order_of_tracks_texts_and_images_is_no_news() {
    let of = |product, data: &str| {
        let body = format!(
            r#"{{"code":200,"data":{{"taskId":"t","callbackType":"complete","data":[{data}]}}}}"#
        );
        callback(product, body)
            .expect("an event")
            .result
            .expect("a result")
    };
    let (one, two) = (
        r#"{"id":"a","audio_url":"https://f/a"}"#,
        r#"{"id":"b","audio_url":"https://f/b"}"#,
    );
    let tracks = of("music", &format!("{one},{two}"));
    assert_eq!(tracks, of("music", &format!("{two},{one}")));
    assert_ne!(tracks, of("music", one));
    let signed = one.replace("https://f/a", "https://f/a?sig=1");
    assert_eq!(of("music", one), of("music", &signed));
    let (one, two) = (r#"{"text":"a"}"#, r#"{"text":"b"}"#);
    let texts = of("lyrics", &format!("{one},{two}"));
    assert_eq!(texts, of("lyrics", &format!("{two},{one}")));
    assert_ne!(texts, of("lyrics", one));
}

#[test]
fn swapped_stems_are_another_result() {
    let stems = |voice: &str, rest: &str| {
        let body = format!(
            r#"{{"code":200,"data":{{"task_id":"t","vocal_removal_info":{{"vocal_url":"{voice}","instrumental_url":"{rest}"}}}}}}"#
        );
        callback("stems", body).expect("an event").result
    };
    assert_ne!(
        stems("https://f/a", "https://f/b"),
        stems("https://f/b", "https://f/a")
    );
}
