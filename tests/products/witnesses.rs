//! Code, word and result decide together.

use crate::said::{Said, callback, record};

fn stage(product: &str, code: &str, data: &str) -> String {
    said(product, code, data).stage
}

fn said(product: &str, code: &str, data: &str) -> Said {
    let body = format!(r#"{{"code":{code},"msg":"m","data":{{"taskId":"t",{data}}}}}"#);
    callback(product, &body).unwrap_or_else(|why| panic!("{body}: {why}"))
}

fn recorded(product: &str, data: &str) -> String {
    let body = format!(r#"{{"code":505,"msg":"m","data":{{"taskId":"t",{data}}}}}"#);
    record(product, "t", &body)
        .unwrap_or_else(|why| panic!("{body}: {why}"))
        .stage
}

const TRACK: &str = r#""data":[{"id":"a","audio_url":"https://f/a"}]"#;
const TEXT: &str = r#""data":[{"title":"a","text":"b"}]"#;

#[test]
fn either_witness_of_a_failure_is_enough() {
    for (product, code, data) in [
        ("music", "200", r#""callbackType":"error","data":null"#),
        ("music", "501", r#""callbackType":"complete","data":[]"#),
        ("music", "501", r#""callbackType":"text","data":[]"#),
        ("music", "\"501\"", r#""callbackType":"nonsense""#),
        ("music", "500", r#""data":null"#),
        ("lyrics", "400", r#""callbackType":"complete","data":[]"#),
        ("lyrics", "200", r#""callbackType":" FAILED ","data":null"#),
        ("midi", "500", r#""state":"complete""#),
        ("job", "200", r#""state":"fail","resultJson":"""#),
        ("job", "501", r#""state":"success","resultJson":null"#),
        ("any", "200", r#""state":"fail""#),
        ("any", "500", r#""state":"success""#),
    ] {
        assert_eq!(
            stage(product, code, data),
            "failure",
            "{product} {code} {data}"
        );
    }
}

#[test]
fn a_result_beside_a_failure_is_a_contradiction() {
    let job = r#""resultJson":"{\"resultUrls\":[\"https://f/a\"]}""#;
    for (product, code, data, why) in [
        (
            "music",
            "501",
            format!(r#""callbackType":"complete",{TRACK}"#),
            "code_denies",
        ),
        (
            "music",
            "200",
            format!(r#""callbackType":"error",{TRACK}"#),
            "status_denies",
        ),
        (
            "music",
            "501",
            format!(r#""callbackType":"first",{TRACK}"#),
            "code_denies",
        ),
        (
            "music",
            "null",
            format!(r#""callbackType":"complete",{TRACK}"#),
            "code_denies",
        ),
        (
            "lyrics",
            "400",
            format!(r#""callbackType":"complete",{TEXT}"#),
            "code_denies",
        ),
        (
            "wav",
            "500",
            r#""audioWavUrl":"https://f/a""#.into(),
            "code_denies",
        ),
        (
            "stems",
            "500",
            r#""vocal_removal_info":{"vocal_url":"https://f/a"}"#.into(),
            "code_denies",
        ),
        (
            "midi",
            "500",
            r#""state":"complete","instruments":[]"#.into(),
            "code_denies",
        ),
        (
            "video",
            "0",
            r#""video_url":"https://f/a""#.into(),
            "code_denies",
        ),
        (
            "cover-image",
            "500",
            r#""images":["https://f/a"]"#.into(),
            "code_denies",
        ),
        (
            "job",
            "501",
            format!(r#""state":"success",{job}"#),
            "code_denies",
        ),
        (
            "job",
            "200",
            format!(r#""state":"fail",{job}"#),
            "status_denies",
        ),
        (
            "job",
            "200",
            format!(r#""state":"success","callbackType":"x",{job}"#),
            "success",
        ),
        (
            "any",
            "500",
            r#""video_url":"https://f/a""#.into(),
            "code_denies",
        ),
    ] {
        assert_eq!(stage(product, code, &data), why, "{product} {code} {data}");
    }
}

#[test]
fn a_success_without_a_result_is_none() {
    for (product, data) in [
        ("music", r#""callbackType":"complete","data":[]"#),
        (
            "music",
            r#""callbackType":"complete","data":[{"id":"a","audio_url":""}]"#,
        ),
        (
            "music",
            r#""callbackType":"first","data":[{"id":"a","audio_url":null}]"#,
        ),
        (
            "lyrics",
            r#""callbackType":"complete","data":[{"text":" "}]"#,
        ),
        (
            "lyrics",
            r#""callbackType":"complete","data":[{"text":"t","status":"failed"}]"#,
        ),
        ("wav", r#""audioWavUrl":null"#),
        ("wav", r#""audioWavUrl":" ""#),
        ("wav", r#""audioWavUrl":["https://f/a"]"#),
        ("stems", r#""vocal_removal_info":{}"#),
        (
            "stems",
            r#""vocal_removal_info":{"origin_url":"https://f/a","vocal_url":""}"#,
        ),
        ("midi", r#""state":"complete""#),
        ("midi", r#""state":"complete","instruments":"none""#),
        ("video", r#""video_url":"""#),
        ("cover-image", r#""images":[]"#),
        ("cover-image", r#""images":[null,{},""]"#),
        ("job", r#""state":"success","resultJson":"""#),
        (
            "job",
            r#""state":"success","resultJson":"{\"resultUrls\":[]}""#,
        ),
        ("job", r#""state":"success","resultJson":"no JSON""#),
    ] {
        assert_eq!(stage(product, "200", data), "no_result", "{product} {data}");
    }
}

#[test]
fn a_stem_without_notes_gives_a_success_without_notes() {
    for data in [
        r#""state":"complete","instruments":[]"#,
        r#""state":"complete","instruments":[{"name":"Drums","notes":[]}]"#,
    ] {
        assert_eq!(stage("midi", "200", data), "success", "{data}");
    }
}

#[test]
fn a_first_needs_no_more_than_one_track_that_can_be_heard() {
    let data = r#""callbackType":"first","data":[{"id":"a","audio_url":"https://f/a"},{"id":"b","audio_url":""}]"#;
    assert_eq!(stage("music", "200", data), "first 2");
}

#[test]
fn words_that_nobody_listed_are_neither_progress_nor_failure() {
    for (product, data) in [
        (
            "music",
            r#""callbackType":"remastered","data":[]"#.to_owned(),
        ),
        ("music", format!(r#""callbackType":"remastered",{TRACK}"#)),
        ("music", TRACK.to_owned()),
        ("music", format!(r#""callbackType":["complete"],{TRACK}"#)),
        ("lyrics", TEXT.to_owned()),
        ("midi", r#""instruments":[]"#.to_owned()),
        ("job", r#""state":"retrying""#.to_owned()),
        (
            "job",
            r#""resultJson":"{\"resultUrls\":[\"https://f/a\"]}""#.to_owned(),
        ),
        ("wav", r#""successFlag":"DONE""#.to_owned()),
        ("wav", r#""other":1"#.to_owned()),
        ("cover-image", r#""successFlag":4"#.to_owned()),
        ("any", r#""other":1"#.to_owned()),
        ("any", r#""callbackType":"task_completed""#.to_owned()),
    ] {
        let said = said(product, "200", &data);
        assert_eq!(said.stage, "unknown", "{product} {data}");
        assert!(said.variant.contains(&data), "{product} {data}");
    }
}

#[test]
fn the_numbers_of_a_record_mean_what_its_product_says() {
    for (product, flag, stage) in [
        ("midi", "0", "pending 0"),
        ("midi", "\"2\"", "failure"),
        ("midi", "3", "failure"),
        ("cover-image", "0", "pending 0"),
        ("cover-image", "2", "generating 0"),
        ("cover-image", "3", "failure"),
        ("cover-image", "\"GENERATE_COVER_FAILED\"", "failure"),
        ("cover-image", "\"PENDING\"", "pending 0"),
        ("wav", "1", "unknown"),
        ("wav", "\"pending\"", "pending 0"),
        ("stems", "\"CREATE_TASK_FAILED\"", "failure"),
        ("any", "2", "unknown"),
        ("any", "0", "unknown"),
    ] {
        let data = format!(r#""successFlag":{flag}"#);
        assert_eq!(recorded(product, &data), stage, "{product} {flag}");
    }
}

#[test]
fn a_record_that_says_no_more_than_that_its_callback_failed_decides_nothing() {
    for (product, key, response) in [
        (
            "music",
            "status",
            r#"{"sunoData":[{"id":"a","audioUrl":"https://f/a"}]}"#,
        ),
        ("lyrics", "status", r#"{"data":[{"text":"a"}]}"#),
        ("wav", "successFlag", r#"{"audioWavUrl":"https://f/a"}"#),
        ("stems", "successFlag", r#"{"vocalUrl":"https://f/a"}"#),
        ("video", "successFlag", r#"{"videoUrl":"https://f/a"}"#),
    ] {
        let data = |response| format!(r#""{key}":"CALLBACK_EXCEPTION","response":{response}"#);
        assert_eq!(recorded(product, &data(response)), "success", "{product}");
        assert_eq!(
            recorded(product, &data("null")),
            "callback_exception",
            "{product}"
        );
    }
}

#[test]
fn a_record_in_which_status_and_error_agree_is_believed_beside_a_first_track() {
    let response = r#""response":{"sunoData":[{"id":"a","audioUrl":"https://f/a"}]}"#;
    let data =
        |error| format!(r#""status":"GENERATE_AUDIO_FAILED",{response},"errorCode":{error}"#);
    for error in ["413", "\"500\""] {
        assert_eq!(recorded("music", &data(error)), "failure", "{error}");
    }
    for error in ["null", "0", "200", "\"\""] {
        assert_eq!(recorded("music", &data(error)), "status_denies", "{error}");
    }
}

#[test]
fn an_error_code_denies_no_success_of_a_record() {
    for error in ["null", "0", "200", "\"200\"", "400"] {
        let data = format!(
            r#""status":"SUCCESS","response":{{"data":[{{"text":"a"}}]}},"errorCode":{error}"#
        );
        assert_eq!(recorded("lyrics", &data), "success", "{error}");
    }
}

#[test]
fn a_suno_task_that_calls_back_as_a_job_is_read_too() {
    let job = |result: &str| {
        let result = serde_json::to_string(result).expect("a text");
        format!(r#""model":"ai-music-api/x","param":"p","state":"success","resultJson":{result}"#)
    };
    for (product, result) in [
        (
            "music",
            r#"{"data":[{"id":"a","audio_url":"https://f/a"}]}"#,
        ),
        (
            "lyrics",
            r#"{"resultObject":{"lyricsData":[{"text":"a"}]}}"#,
        ),
        ("wav", r#"{"resultUrls":["https://f/a"]}"#),
        ("video", r#"{"resultUrls":["https://f/a"]}"#),
        ("cover-image", r#"{"resultUrls":["https://f/a"]}"#),
        ("stems", r#"{"resultObject":{"vocal_url":"https://f/a"}}"#),
        ("midi", r#"{"resultObject":{"instruments":[]}}"#),
        ("job", r#"{"resultObject":{"lyricsData":[{"text":"a"}]}}"#),
    ] {
        assert_eq!(stage(product, "200", &job(result)), "success", "{product}");
        let failed = r#""state":"fail","resultJson":"","failCode":"400","failMsg":"no""#;
        assert_eq!(stage(product, "501", failed), "failure", "{product}");
        assert_eq!(
            recorded(product, r#""state":"queuing","resultJson":"""#),
            "queuing 0"
        );
    }
}

#[test]
fn the_id_of_a_job_is_its_result_where_it_has_no_link() {
    let id = said(
        "job",
        "200",
        r#""state":"success","resultJson":"{\"data\":[{\"id\":\"b\"},{\"id\":\"a\"}]}""#,
    );
    assert_eq!(
        (id.result.as_deref(), &id.results[..]),
        (Some("a\nb"), &["b".to_owned(), "a".to_owned()][..])
    );
    let hex = said(
        "job",
        "200",
        r#""state":"success","resultJson":"{\"resultUrls\":[\"0f0f\"]}""#,
    );
    assert_eq!(hex.results, ["0f0f"]);
}

#[test]
fn what_an_inconsistent_event_claims_tells_it_from_others_and_its_message_does_not() {
    let of = |msg: &str, link: &str| {
        let body =
            format!(r#"{{"msg":"{msg}","code":0,"data":{{"task_id":"t","video_url":"{link}"}}}}"#);
        callback("video", body).expect("an event").variant
    };
    assert_eq!(of("a", "https://f/a"), of("b", "https://f/a"));
    assert_ne!(of("a", "https://f/a"), of("a", "https://f/b"));
}

#[test]
fn a_callback_that_says_what_only_records_say_needs_its_code() {
    let data = r#""successFlag":"CALLBACK_EXCEPTION","response":{"audioWavUrl":"https://f/a"}"#;
    assert_eq!(stage("wav", "200", data), "success");
    assert_eq!(stage("wav", "null", data), "code_denies");
}
