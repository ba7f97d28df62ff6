//! Ids in four places, repeated keys, and values of unusual types.

use crate::said::{PRODUCTS, callback, record};

#[test]
fn an_id_counts_in_each_of_four_places_and_all_must_agree() {
    for product in PRODUCTS {
        for body in [
            r#"{"code":500,"data":{"taskId":"t"}}"#,
            r#"{"code":500,"data":{"task_id":"t"}}"#,
            r#"{"code":500,"taskId":"t","data":null}"#,
            r#"{"code":500,"task_id":"t"}"#,
            r#"{"code":500,"taskId":"t","task_id":"t","data":{"taskId":"t","task_id":"t"}}"#,
        ] {
            let said = callback(product, body).expect("an event");
            assert_eq!(
                (&*said.task_id, &*said.stage),
                ("t", "failure"),
                "{product} {body}"
            );
        }
        for body in [
            r#"{"code":500,"taskId":"u","data":{"taskId":"t"}}"#,
            r#"{"code":500,"data":{"taskId":"t","task_id":"u"}}"#,
            r#"{"code":500,"data":{"taskId":"t","taskId":"t"}}"#,
            r#"{"code":500,"data":{"taskId":"t"},"data":{"taskId":"t"}}"#,
            r#"{"code":500,"data":{"taskId":7}}"#,
            r#"{"code":500,"data":{}}"#,
        ] {
            assert!(callback(product, body).is_err(), "{product} {body}");
        }
        let other = r#"{"code":200,"data":{"taskId":"u"}}"#;
        assert!(record(product, "t", other).is_err(), "{product}");
    }
}

#[test]
fn a_key_that_says_two_things_is_a_contradiction() {
    for (product, data) in [
        (
            "music",
            r#""callbackType":"complete","callbackType":"error","data":[]"#,
        ),
        (
            "music",
            r#""callbackType":"complete","data":[{"id":"a","id":"b","audio_url":"https://f/a"}]"#,
        ),
        (
            "music",
            r#""callbackType":"complete","data":[{"id":"a","audio_url":"https://f/a","audioUrl":"https://f/b"}]"#,
        ),
        (
            "music",
            r#""callbackType":"complete","data":[{"id":"a","audio_url":"https://f/a"}],"response":{"sunoData":[{"id":"b","audioUrl":"https://f/b"}]}"#,
        ),
        (
            "lyrics",
            r#""callbackType":"complete","data":[{"text":"a","text":"b"}]"#,
        ),
        (
            "wav",
            r#""audioWavUrl":"https://f/a","audio_wav_url":"https://f/b""#,
        ),
        (
            "stems",
            r#""vocal_removal_info":{"vocal_url":"https://f/a","vocal_url":"https://f/b"}"#,
        ),
        (
            "stems",
            r#""vocal_removal_info":{"vocal_url":"https://f/a"},"vocal_separation_info":{"vocal_url":"https://f/b"}"#,
        ),
        (
            "midi",
            r#""state":"complete","instruments":[],"instruments":[]"#,
        ),
        (
            "video",
            r#""video_url":"https://f/a","video_url":"https://f/b""#,
        ),
        (
            "cover-image",
            r#""images":["https://f/a"],"images":["https://f/b"]"#,
        ),
        ("job", r#""state":"success","state":"fail""#),
        (
            "job",
            r#""state":"success","resultJson":"{\"resultUrls\":[\"https://f/a\"],\"resultUrls\":[\"https://f/b\"]}""#,
        ),
        ("any", r#""state":"success","state":"fail""#),
    ] {
        let body = format!(r#"{{"code":200,"data":{{"task_id":"t",{data}}}}}"#);
        let said = callback(product, &body).expect("an event");
        assert_eq!(said.stage, "repeated_key", "{product} {data}");
        assert_eq!(said.variant, body, "{product}");
    }
}

#[test]
fn a_repeated_key_that_means_nothing_says_nothing() {
    for (product, data) in [
        (
            "music",
            r#""callbackType":"complete","x":1,"x":2,"data":[{"id":"a","x":1,"x":2,"audio_url":"https://f/a"}]"#,
        ),
        (
            "wav",
            r#""musicId":1,"musicId":2,"audioWavUrl":"https://f/a","audio_wav_url":"https://f/a""#,
        ),
        (
            "stems",
            r#""vocal_removal_info":{"origin_url":"a","origin_url":"b","vocal_url":"https://f/a"}"#,
        ),
        (
            "job",
            r#""param":"a","param":"b","state":"success","resultJson":"{\"resultUrls\":[\"https://f/a\"]}""#,
        ),
    ] {
        let body = format!(r#"{{"code":200,"data":{{"task_id":"t",{data}}}}}"#);
        let said = callback(product, &body).expect("an event");
        assert_eq!(said.stage, "success", "{product} {data}");
    }
}

#[test]
fn the_result_of_a_job_is_read_as_a_text_and_as_an_object() {
    for result in [
        r#""{\"resultUrls\":[\"https://f/a\"]}""#,
        r#"{"resultUrls":["https://f/a"]}"#,
        r#"" {\"resultUrls\":[\"https://f/a\"]} ""#,
        r#""{\"\\ud83c\":1,\"resultUrls\":[\"\\ud83c\",\"https:\\/\\/f\\/a\"]}""#,
    ] {
        let body = format!(
            r#"{{"code":200,"data":{{"taskId":"t","state":"success","resultJson":{result}}}}}"#
        );
        let said = callback("job", &body).expect("an event");
        assert_eq!(said.results, ["https://f/a"], "{result}");
    }
}

#[test]
fn values_of_an_unusual_type_make_an_event_odd_and_never_an_error() {
    for product in PRODUCTS {
        for key in [
            "callbackType",
            "status",
            "state",
            "successFlag",
            "errorCode",
            "errorMessage",
            "failCode",
            "failMsg",
            "response",
            "resultJson",
            "data",
            "audioWavUrl",
            "vocal_removal_info",
            "instruments",
            "midiData",
            "video_url",
            "images",
            "model",
            "error",
            "info",
        ] {
            for value in [
                "null",
                "7",
                "-1.5",
                "1e999",
                "true",
                "[]",
                "[[7]]",
                "{}",
                "\"\"",
                "\"\\ud83c\"",
            ] {
                let body = format!(r#"{{"code":200,"data":{{"taskId":"t","{key}":{value}}}}}"#);
                let said = callback(product, &body).unwrap_or_else(|why| panic!("{body}: {why}"));
                assert_ne!(said.stage, "success", "{product} {body}");
                record(product, "t", &body).unwrap_or_else(|why| panic!("{body}: {why}"));
            }
        }
    }
}

#[test]
fn a_code_that_is_no_number_is_none() {
    for code in ["null", "true", "\"ok\"", "[200]", "{}", "2e2"] {
        let body = format!(r#"{{"code":{code},"data":{{"taskId":"t","audioWavUrl":null}}}}"#);
        assert_eq!(
            callback("wav", &body).expect("an event").stage,
            "no_result",
            "{code}"
        );
        let body = format!(r#"{{"code":{code},"data":{{"taskId":"t"}}}}"#);
        assert_eq!(
            callback("wav", &body).expect("an event").stage,
            "unknown",
            "{code}"
        );
    }
}
