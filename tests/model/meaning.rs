//! What callbacks mean, and which of them are the same event.

use std::collections::HashSet;

use futures_util::FutureExt;
use harness::{
    Callback,
    probe::{Probe, ProbeLayer, layer},
};
use proptest::{prelude::*, sample::Index};
use serde_json::{Map, Value, json};
use suno_callback::{
    CallbackKind, Disposition, Inconsistency, TaskId, VoiceEvent, VoiceOutcome, VoiceStatus,
};

use CallbackKind::{Generate, Validate};

const NO_VOICE: VoiceOutcome = VoiceOutcome::Inconsistent(Inconsistency::NoVoiceId);
const SAYS_FAIL: VoiceOutcome = VoiceOutcome::Inconsistent(Inconsistency::VoiceIdSaysFail);
const CODE_DENIES: VoiceOutcome = VoiceOutcome::Inconsistent(Inconsistency::CodeDenies);

fn event(kind: CallbackKind, body: &str) -> VoiceEvent {
    VoiceEvent::parse(kind, body).unwrap_or_else(|why| panic!("{why}: {body}"))
}

fn of(body: &Value) -> VoiceEvent {
    event(Generate, &body.to_string())
}

/// A callback of this shape for task `t`.
fn envelope(code: Value, data: Value) -> Value {
    let mut data = data;
    data["taskId"] = "t".into();
    json!({"code": code, "msg": "any", "data": data})
}

// The payloads as the providers document them.

const KIE_SUCCESS: &str = r#"{"code":200,"msg":"success","data":{"taskId":"ee9c2715375b7837f8bb51d641ff5863",
    "voiceId":"voice_xxx","status":"success","errorCode":null,"errorMessage":""}}"#;
const SUNOAPI_SUCCESS: &str = r#"{"code":200,"msg":"success","data":{"taskId":"ee9c2715375b7837f8bb51d641ff5863",
    "voiceId":"voice_xxx","status":"success","errorCode":0,"errorMessage":""}}"#;
const KIE_FAILURE: &str = r#"{"code":500,"msg":"fail","data":{"taskId":"ee9c2715375b7837f8bb51d641ff5863",
    "voiceId":null,"status":"fail","errorCode":500,"errorMessage":"Internal error"}}"#;
const SUNOAPI_FAILURE: &str = r#"{"code":400,"msg":"fail","data":{"taskId":"ee9c2715375b7837f8bb51d641ff5863",
    "voiceId":"","status":"fail","errorCode":500,"errorMessage":"Voice generation failed"}}"#;
const PHRASE: &str = r#"{"code":200,"msg":"success","data":{"taskId":"ee9c2715375b7837f8bb51d641ff5863",
    "validateInfo":"The quick brown fox","status":"wait_validating","errorCode":0,"errorMessage":""}}"#;
const PHRASE_FAILURE: &str = r#"{"code":400,"msg":"fail","data":{"taskId":"ee9c2715375b7837f8bb51d641ff5863",
    "validateInfo":"","status":"processing_validate_fail","errorCode":500,"errorMessage":"Too noisy"}}"#;
const GENERATE_VALIDATE_FAILURE: &str = r#"{"code":400,"msg":"fail","data":{"taskId":"ee9c2715375b7837f8bb51d641ff5863",
    "voiceId":"","status":"processing_validate_fail","errorCode":500,"errorMessage":"phrase expired or not found"}}"#;

#[test]
fn the_documented_successes_of_both_providers_are_ready() {
    for (body, error_code) in [(KIE_SUCCESS, None), (SUNOAPI_SUCCESS, Some(0))] {
        let event = event(Generate, body);
        assert!(matches!(event.outcome(), VoiceOutcome::Ready(id) if *id == "voice_xxx"));
        assert_eq!(*event.task_id(), "ee9c2715375b7837f8bb51d641ff5863");
        assert_eq!(*event.status(), VoiceStatus::Success);
        assert_eq!((event.code(), event.error_code()), (Some(200), error_code));
        assert_eq!((event.error_message(), event.validate_info()), (None, None));
        assert!(event.is_final());
        assert_eq!(event.body(), body);
    }
}

#[test]
fn the_documented_failures_of_both_providers_are_failed() {
    for (kind, body, code, message) in [
        (Generate, KIE_FAILURE, 500, "Internal error"),
        (Generate, SUNOAPI_FAILURE, 400, "Voice generation failed"),
        (
            Generate,
            GENERATE_VALIDATE_FAILURE,
            400,
            "phrase expired or not found",
        ),
        (Validate, PHRASE_FAILURE, 400, "Too noisy"),
    ] {
        let event = event(kind, body);
        let VoiceOutcome::Failed(failure) = event.outcome() else {
            panic!("{event:?}");
        };
        assert_eq!(
            (failure.code(), failure.error_code()),
            (Some(code), Some(500))
        );
        assert_eq!(failure.error_message(), Some(message));
        assert_eq!((event.voice_id(), event.validate_info()), (None, None));
        assert!(event.is_final());
    }
}

#[test]
fn a_ready_phrase_ends_a_validation_and_is_progress_in_a_generation() {
    for (kind, is_final) in [(Validate, true), (Generate, false)] {
        let event = event(kind, PHRASE);
        assert_eq!(
            event.outcome(),
            VoiceOutcome::PhraseReady("The quick brown fox")
        );
        assert_eq!((event.kind(), event.is_final()), (kind, is_final));
    }
}

#[test]
fn a_status_without_its_result_is_progress() {
    for data in [
        json!({"status": "wait_processing"}),
        json!({"status": "processing_validate", "voiceId": ""}),
        json!({"status": "wait_validating"}),
        json!({"status": "wait_validating", "validateInfo": ""}),
        json!({"status": "wait_validating", "validateInfo": null}),
        json!({"status": "wait_processing", "voiceId": "fail"}),
        json!({"status": "wait_processing", "validateInfo": "a phrase too early"}),
    ] {
        // What claims progress is progress, whatever the code.
        for code in [json!(200), json!(400), json!(null)] {
            let event = of(&envelope(code, data.clone()));
            assert_eq!(event.outcome(), VoiceOutcome::Pending, "{data}");
            assert!(!event.is_final());
        }
    }
}

#[test]
fn f50_a_success_without_a_voice_is_inconsistent() {
    for data in [
        json!({"status": "success"}),
        json!({"status": "success", "voiceId": null}),
        json!({"status": "success", "voiceId": ""}),
        json!({"status": "success", "voiceId": 7}),
        json!({"status": "success", "voiceId": ["v"]}),
    ] {
        for code in [json!(200), json!(500), json!(null)] {
            let event = of(&envelope(code, data.clone()));
            assert_eq!(event.outcome(), NO_VOICE, "{data}");
            assert!(!event.is_final());
        }
    }
}

#[test]
fn f50_the_word_fail_is_no_voice() {
    for code in [json!(200), json!(400), json!(null)] {
        let event = of(&envelope(
            code,
            json!({"status": "success", "voiceId": "fail"}),
        ));
        assert_eq!(event.outcome(), SAYS_FAIL);
        assert_eq!(event.voice_id(), None, "nobody can store it by accident");
    }
    for status in ["fail", "processing_validate_fail"] {
        let event = of(&envelope(
            json!(200),
            json!({"status": status, "voiceId": "fail"}),
        ));
        assert_eq!(event.outcome().as_str(), "failed");
    }
    for word in ["Fail", "failed", "fail ", "fail-1"] {
        let event = of(&envelope(
            json!(200),
            json!({"status": "success", "voiceId": word}),
        ));
        assert!(matches!(event.outcome(), VoiceOutcome::Ready(id) if *id == word));
    }
}

#[test]
fn a_voice_id_that_equals_the_task_id_is_a_voice() {
    let event = of(&envelope(
        json!(200),
        json!({"status": "success", "voiceId": "t"}),
    ));
    assert!(matches!(event.outcome(), VoiceOutcome::Ready(id) if *id == "t"));
}

#[test]
fn f49_a_code_that_denies_a_result_is_inconsistent() {
    let results = [
        json!({"status": "success", "voiceId": "v"}),
        json!({"status": "wait_validating", "validateInfo": "sing"}),
    ];
    let codes = [
        json!(400),
        json!(500),
        json!(0),
        json!(201),
        json!(-200),
        json!("success"),
        json!(200.5),
        json!(null),
        json!(true),
        json!([200]),
    ];
    for data in results {
        for code in &codes {
            let event = of(&envelope(code.clone(), data.clone()));
            assert_eq!(event.outcome(), CODE_DENIES, "{code} {data}");
        }
        let lenient = of(&envelope(json!("200"), data.clone()));
        assert!(
            matches!(lenient.outcome().as_str(), "ready" | "phrase_ready"),
            "{data}"
        );
    }
}

#[test]
fn f49_a_code_decides_where_no_status_is_known() {
    for status in [
        json!("DONE"),
        json!("succeeded"),
        json!("complete"),
        json!(""),
        json!(null),
        json!(7),
    ] {
        for (code, outcome) in [
            (400, "failed"),
            (500, "failed"),
            (531, "failed"),
            (200, "unknown"),
        ] {
            let event = of(&envelope(json!(code), json!({"status": status})));
            assert_eq!(event.outcome().as_str(), outcome, "{code} {status}");
        }
        let claims = of(&envelope(
            json!(400),
            json!({"status": status, "voiceId": "v"}),
        ));
        assert_eq!(claims.outcome(), CODE_DENIES, "{status}");
    }
    let bare = event(
        Generate,
        r#"{"code":500,"msg":"error","taskId":"t","data":null}"#,
    );
    assert_eq!(bare.outcome().as_str(), "failed");
    let empty = event(Generate, r#"{"taskId":"t"}"#);
    assert_eq!(empty.outcome(), VoiceOutcome::Unknown);
}

#[test]
fn a_failure_is_one_whatever_its_code_and_its_error_code() {
    for status in ["fail", "processing_validate_fail"] {
        for code in [
            json!(200),
            json!(400),
            json!(500),
            json!("500"),
            json!(null),
        ] {
            for error_code in [
                json!(500),
                json!(0),
                json!(null),
                json!("500"),
                json!("E17"),
                json!({"a": 1}),
            ] {
                let data = json!({"status": status, "errorCode": error_code, "voiceId": "v"});
                let event = of(&envelope(code.clone(), data));
                assert_eq!(event.outcome().as_str(), "failed", "{code} {error_code}");
            }
        }
    }
}

#[test]
fn an_error_code_never_decides_and_is_read_where_it_is_a_number() {
    for (error_code, read) in [
        (json!(null), None),
        (json!(0), Some(0)),
        (json!(500), Some(500)),
        (json!("0"), Some(0)),
        (json!("200"), Some(200)),
        (json!("none"), None),
        (json!(0.5), None),
        (json!(false), None),
        (json!(u64::MAX), None),
        (json!(i64::MIN), Some(i64::MIN)),
    ] {
        let data = json!({"status": "success", "voiceId": "v", "errorCode": error_code, "errorMessage": "odd"});
        let event = of(&envelope(json!(200), data));
        assert_eq!(event.outcome().as_str(), "ready", "{error_code}");
        assert_eq!(event.error_code(), read, "{error_code}");
    }
}

#[test]
fn in_a_fetched_record_the_code_is_no_part_of_the_event() {
    for code in [200, 500] {
        for (status, outcome) in [
            ("success", "ready"),
            ("fail", "failed"),
            ("wait_processing", "pending"),
        ] {
            let record = envelope(
                json!(code),
                json!({"status": status, "voiceId": "v", "errorCode": 500}),
            );
            let event =
                VoiceEvent::from_record(Generate, &TaskId::new("t").unwrap(), record.to_string())
                    .unwrap();
            assert_eq!((event.outcome().as_str(), event.code()), (outcome, None));
        }
    }
}

const KINDS: [CallbackKind; 2] = [Generate, Validate];

/// What a body means in both kinds: as a callback, and as a record.
fn meanings(body: &Value) -> [[String; 2]; 2] {
    KINDS.map(|kind| {
        let record = VoiceEvent::from_record(kind, &TaskId::new("t").unwrap(), body.to_string());
        let both = [event(kind, &body.to_string()), record.unwrap()];
        both.map(|event| match event.outcome() {
            VoiceOutcome::Ready(voice) => format!("ready {voice}"),
            VoiceOutcome::PhraseReady(phrase) => format!("phrase {phrase}"),
            VoiceOutcome::Failed(it) => format!("failed {}", it.error_message().unwrap_or("-")),
            VoiceOutcome::Inconsistent(why) => format!("{why:?}"),
            other => other.as_str().to_owned(),
        })
    })
}

/// Means the same everywhere.
fn assert_means(body: &Value, meaning: &str) {
    let everywhere = [[meaning; 2]; 2];
    assert_eq!(meanings(body), everywhere, "{body}");
}

#[test]
fn a_status_is_read_without_case_and_blanks() {
    for word in [
        "SUCCESS",
        "Success",
        " success",
        "sUcCeSs ",
        "\tsuccess\n",
        "success\u{a0}",
    ] {
        let data = json!({"status": word, "voiceId": "v"});
        assert_means(&envelope(json!(200), data), "ready v");
    }
    for word in [
        "FAIL",
        "Failed",
        "failed",
        "FAILED ",
        "Processing_Validate_Fail",
        " fail",
    ] {
        let data = json!({"status": word, "errorMessage": "no"});
        assert_means(&envelope(json!(200), data.clone()), "failed no");
        assert_means(&envelope(json!(500), data), "failed no");
    }
    for word in ["WAIT_VALIDATING", " Wait_Validating "] {
        let data = json!({"status": word, "validateInfo": "sing"});
        assert_means(&envelope(json!(200), data), "phrase sing");
    }
    for word in ["Wait_Processing", "PROCESSING_VALIDATE "] {
        assert_means(&envelope(json!(200), json!({"status": word})), "pending");
    }
    for word in [
        "complete",
        "completed",
        "succeeded",
        "successful",
        "failure",
        "error",
        "fails",
        "waiting",
        "generating",
        "PENDING",
        "wait processing",
        "success!",
        "成功",
    ] {
        let data = json!({"status": word, "voiceId": "v"});
        assert_means(&envelope(json!(200), data), "unknown");
    }
}

#[test]
fn progress_in_other_letters_is_the_same_progress() {
    let story = ["wait_processing", "WAIT_PROCESSING", " Wait_Processing"];
    let story = story.map(|status| Callback::progress("t", status));
    assert_eq!(sent(&story), [Accepted, Duplicate, Duplicate]);
}

#[test]
fn fields_in_snake_case_are_read_like_the_documented_ones() {
    let snake = |data: Value| json!({"code": 200, "data": data});
    assert_means(
        &snake(json!({"task_id": "t", "voice_id": "v", "status": "success"})),
        "ready v",
    );
    assert_means(
        &snake(json!({"task_id": "t", "validate_info": "sing", "status": "wait_validating"})),
        "phrase sing",
    );
    let failure =
        snake(json!({"task_id": "t", "status": "fail", "error_code": 500, "error_message": "no"}));
    assert_means(&failure, "failed no");
    assert_eq!(of(&failure).error_code(), Some(500));
    assert_means(
        &snake(json!({"taskId": "t", "voiceId": null, "voice_id": "v", "status": "success"})),
        "ready v",
    );
}

#[test]
fn two_spellings_must_agree() {
    for (one, two, value, other) in [
        ("voiceId", "voice_id", json!("v"), json!("w")),
        ("validateInfo", "validate_info", json!("a"), json!("b")),
        ("errorCode", "error_code", json!(0), json!(500)),
        ("errorMessage", "error_message", json!("a"), json!("b")),
    ] {
        let both = |second: &Value| {
            let mut data = json!({"status": "success", "voiceId": "v"});
            data[one] = value.clone();
            data[two] = second.clone();
            envelope(json!(200), data)
        };
        assert_means(&both(&value), "ready v");
        assert_means(&both(&json!(null)), "ready v");
        assert_means(&both(&other), "RepeatedKey");
    }
    let number = envelope(
        json!(200),
        json!({"status": "fail", "errorCode": 500, "error_code": "500"}),
    );
    assert_means(&number, "failed -");
}

#[test]
fn what_has_no_status_claims_nothing_and_every_such_body_is_an_event_of_its_own() {
    let bodies = [
        json!({"validateInfo": "sing"}),
        json!({"validateInfo": "sing another"}),
        json!({"voiceId": "v"}),
        json!({"voiceId": "w", "status": ""}),
        json!({"voiceId": "v", "status": null}),
        json!({"isAvailable": true}),
        json!({"status": "never listed", "voiceId": "v"}),
        json!({}),
    ];
    let bodies = bodies.map(|data| envelope(json!(200), data));
    for body in &bodies {
        assert_means(body, "unknown");
    }
    let story = bodies.each_ref().map(callback);
    for kind in KINDS {
        let layer = layer().kind(kind);
        assert_eq!(sent_to(&layer, &story), [Accepted; 8]);
        let again = [story[0].clone(), story[0].clone()];
        assert_eq!(sent_to(&layer, &again), [Duplicate, Duplicate]);
    }
}

#[test]
fn the_word_fail_for_a_voice_denies_the_code_that_comes_with_it() {
    for data in [
        json!({"voiceId": "fail"}),
        json!({"voice_id": "fail", "status": null}),
    ] {
        assert_means(&envelope(json!(200), data), "VoiceIdSaysFail");
    }
}

#[test]
fn a_blank_voice_is_none() {
    for blank in ["", " ", "\t\n"] {
        let body = envelope(json!(200), json!({"status": "success", "voiceId": blank}));
        assert_means(&body, "NoVoiceId");
    }
}

#[test]
fn a_success_of_a_validation_is_its_phrase_or_its_end() {
    let meaning = |data: Value| {
        let body = envelope(json!(200), data).to_string();
        KINDS.map(|kind| {
            let event = event(kind, &body);
            (event.outcome().as_str(), event.is_final())
        })
    };
    let phrase = json!({"status": "success", "validateInfo": "sing"});
    assert_eq!(
        meaning(phrase),
        [("inconsistent", false), ("phrase_ready", true)]
    );
    for nothing in [
        json!({"status": "success"}),
        json!({"status": "Success ", "validateInfo": "", "voiceId": null}),
    ] {
        assert_eq!(
            meaning(nothing),
            [("inconsistent", false), ("inconsistent", true)]
        );
    }
    let voice = json!({"status": "success", "validateInfo": "sing", "voiceId": "v"});
    assert_eq!(meaning(voice), [("ready", true); 2]);
    // What a poll finds is the event that a callback told.
    let (body, task) = (
        envelope(json!(200), json!({"status": "success"})),
        TaskId::new("t").unwrap(),
    );
    let record = VoiceEvent::from_record(Validate, &task, body.to_string()).unwrap();
    assert!(record.is_final());
    let denied = envelope(json!(500), json!({"status": "success"}));
    assert!(!event(Validate, &denied.to_string()).is_final());
}

/// A job's result, in each place where one was seen.
fn results(result: &Value) -> [Value; 4] {
    [
        json!(result.to_string()),
        json!(json!({"resultObject": result}).to_string()),
        json!(json!({"data": result}).to_string()),
        json!(json!({"resultObject": result, "data": result}).to_string()),
    ]
}

fn job(state: &str, result: &Value) -> Value {
    let data = json!({"model": "ai-music-api/any", "state": state, "param": "{\"input\":{}}",
        "resultJson": result, "failCode": null, "failMsg": null, "costTime": 12});
    envelope(json!(200), data)
}

#[test]
fn a_job_that_is_done_has_its_voice_or_its_phrase_in_its_result() {
    for state in ["success", "SUCCESS", "Success "] {
        for voice in [
            json!({"voiceId": "v"}),
            json!({"voice_id": "v", "status": "success", "errorMessage": ""}),
            json!({"voiceId": "v", "validateInfo": null, "persona": [1]}),
        ] {
            for result in results(&voice) {
                assert_means(&job(state, &result), "ready v");
            }
        }
        let phrase = json!({"validateInfo": "sing", "status": "wait_validating"});
        for result in results(&phrase) {
            assert_means(&job(state, &result), "phrase sing");
        }
    }
    for bare in [
        json!({"validateInfo": "sing"}),
        json!({"verify_phrase_text": "sing"}),
    ] {
        for result in results(&bare) {
            let [generate, validate] = meanings(&job("success", &result));
            assert_eq!(generate, ["NoVoiceId"; 2]);
            assert_eq!(validate, ["phrase sing"; 2]);
        }
    }
}

#[test]
fn a_job_is_denied_by_whatever_denies_a_voice() {
    let voice = json!(json!({"voiceId": "v"}).to_string());
    let mut denied = job("success", &voice);
    denied["code"] = json!(501);
    assert_eq!(of(&denied).outcome(), CODE_DENIES);
    for (result, why) in [
        (json!({"voiceId": "fail"}), "VoiceIdSaysFail"),
        (json!({"voiceId": ""}), "NoVoiceId"),
        (json!({"status": "success"}), "NoVoiceId"),
        (json!({"voiceId": "v", "status": "fail"}), "StatusDenies"),
        (json!({"voiceId": "v", "voice_id": "w"}), "RepeatedKey"),
        (
            json!({"voiceId": "v", "data": {"voiceId": "w"}}),
            "RepeatedKey",
        ),
    ] {
        assert_means(&job("success", &json!(result.to_string())), why);
    }
    for nothing in [
        json!(null),
        json!(""),
        json!("{}"),
        json!("not json"),
        json!("[]"),
        json!("\"v\""),
    ] {
        assert_means(&job("success", &nothing), "NoVoiceId");
    }
    let mut two = job("success", &voice);
    two["data"]["voiceId"] = json!("w");
    assert_means(&two, "RepeatedKey");
    let twice = envelope(
        json!(200),
        json!({"status": "success", "state": "fail", "voiceId": "v"}),
    );
    assert_means(&twice, "StatusDenies");
}

#[test]
fn a_job_that_failed_says_why() {
    for state in ["fail", "FAIL", "failed"] {
        for code in [200, 400, 501] {
            let data = json!({"state": state, "model": "any", "resultJson": "", "failCode": "400", "failMsg": "refused"});
            let body = envelope(json!(code), data);
            assert_means(&body, "failed refused");
            assert_eq!(of(&body).error_code(), Some(400));
        }
    }
    let within = json!({"state": "fail", "resultJson": "{\"data\":{\"errorMessage\":\"noisy\"}}"});
    assert_means(&envelope(json!(501), within), "failed noisy");
}

#[test]
fn the_documented_progress_of_a_job_is_progress_and_nobody_else_s() {
    for state in ["waiting", "queuing", "generating", "Waiting "] {
        assert_means(&job(state, &json!("")), "pending");
    }
    for state in ["complete", "wait", "running", ""] {
        assert_means(&job(state, &json!("")), "unknown");
    }
    let story = ["waiting", "WAITING", "queuing"].map(|state| callback(&job(state, &json!(""))));
    assert_eq!(sent(&story), [Accepted, Duplicate, Accepted]);
}

#[test]
fn a_job_s_voice_is_the_event_of_the_voice_s_own_callback() {
    let result = json!(json!({"data": {"voiceId": "v"}}).to_string());
    let story = [
        callback(&job("success", &result)),
        Callback::success("t", "v"),
    ];
    assert_eq!(sent(&story), [Accepted, Duplicate]);
}

/// What plainly is another product's, by its documentation.
fn other_products() -> Vec<Value> {
    let mut bodies = vec![
        json!({"code": 200, "data": {"callbackType": "text", "task_id": "t", "data": []}}),
        json!({"code": 200, "data": {"callbackType": "first", "task_id": "t", "data": [{"id": "a", "audio_url": "u"}]}}),
        json!({"code": 200, "data": {"callbackType": "complete", "task_id": "t", "data": [{"id": "a"}, {"id": "b"}]}}),
        json!({"code": 501, "msg": "failed", "data": {"callbackType": "error", "task_id": "t", "data": null}}),
        json!({"code": 400, "data": {"callbackType": "error", "taskId": "t", "error": "no"}}),
        json!({"code": 401, "data": {"callbackType": "failed", "task_id": "t"}}),
        json!({"code": 400, "data": {"callbackType": "complete", "task_id": "t", "data": null}}),
        json!({"code": 200, "data": {"taskId": "t", "status": "TEXT_SUCCESS", "response": null}}),
        json!({"code": 200, "data": {"taskId": "t", "status": "SUCCESS", "type": "GENERATE", "response": {"sunoData": []}}}),
    ];
    for (key, value) in [
        ("audioWavUrl", json!("u")),
        ("audio_wav_url", json!("u")),
        ("vocal_separation_info", json!({"vocal_url": "u"})),
        ("vocal_removal_info", json!({"vocal_url": "u"})),
        ("video_url", json!("u")),
        ("images", json!(["u"])),
        ("info", json!({"result_urls": ["u"]})),
        ("instruments", json!([{"name": "Drums", "notes": []}])),
        ("successFlag", json!("SUCCESS")),
    ] {
        for (code, value) in [(200, value), (500, json!(null))] {
            let mut body = json!({"code": code, "data": {"task_id": "t"}});
            body["data"][key] = value;
            bodies.push(body);
        }
    }
    let midi =
        json!({"code": 200, "data": {"taskId": "t", "state": "complete", "instruments": []}});
    bodies.push(midi);
    for result in [
        json!({"resultUrls": ["https://files.example/a.png"]}),
        json!({"resultObject": {"lyricsData": [{"text": "la"}]}}),
        json!({"data": [{"id": "song"}]}),
    ] {
        bodies.push(job("success", &json!(result.to_string())));
    }
    bodies
}

#[test]
fn another_product_s_content_is_never_a_voice_and_never_a_failure() {
    for body in other_products() {
        let [generate, validate] = KINDS.map(|kind| event(kind, &body.to_string()));
        assert_eq!(generate.outcome(), VoiceOutcome::Unknown, "{body}");
        assert_eq!(validate.outcome(), VoiceOutcome::Unknown, "{body}");
    }
    for kind in KINDS {
        let story: Vec<_> = other_products().iter().take(4).map(callback).collect();
        assert_eq!(sent_to(&layer().kind(kind), &story), [Accepted; 4]);
    }
}

#[test]
fn a_voice_s_own_content_beside_another_product_s_key_is_a_voice_s() {
    let with_key = |mut body: Value| {
        body["data"]["callbackType"] = json!("complete");
        body["data"]["info"] = json!(null);
        body
    };
    let parsed = |callback: Callback| serde_json::from_str(&callback.body).unwrap();
    assert_means(&with_key(parsed(Callback::success("t", "v"))), "ready v");
    assert_means(&with_key(parsed(Callback::failure("t"))), "failed no");
    assert_means(
        &with_key(parsed(Callback::phrase("t", "sing"))),
        "phrase sing",
    );
    let of_any_job =
        json!({"code": 500, "data": {"taskId": "t", "callbackType": "task_completed"}});
    assert_eq!(of(&of_any_job).outcome().as_str(), "failed");
}

#[test]
fn damaged_text_is_read_with_replacement_characters_and_a_damaged_voice_is_none() {
    let body = |field: &str, text: &[u8], status: &str| {
        let before =
            format!(r#"{{"code":200,"data":{{"taskId":"t","status":"{status}","{field}":""#);
        [before.as_bytes(), text, b"\"}}"].concat()
    };
    let read = |body: &[u8]| KINDS.map(|kind| VoiceEvent::parse(kind, body).unwrap());
    for text in [
        &br"no \ud83c"[..],
        b"no \xf0\x9f\x8e",
        b"no \xff",
        br"no \udfa4",
    ] {
        for event in read(&body("errorMessage", text, "fail")) {
            assert!(event.error_message().unwrap().starts_with("no \u{fffd}"));
            assert_eq!(event.outcome().as_str(), "failed");
        }
        for event in read(&body("validateInfo", text, "wait_validating")) {
            assert!(event.validate_info().unwrap().starts_with("no \u{fffd}"));
        }
        for event in read(&body("voiceId", text, "success")) {
            let damaged = VoiceOutcome::Inconsistent(Inconsistency::VoiceIdDamaged);
            assert_eq!((event.outcome(), event.voice_id()), (damaged, None));
        }
    }
    let whole = Callback::success("t", "v\u{fffd}");
    assert_eq!(event(Generate, &whole.body).outcome().as_str(), "ready");
    let result = json!({"state": "fail", "resultJson": r#"{"errorMessage":"no \ud83c"}"#});
    assert_eq!(
        of(&envelope(json!(501), result)).error_message(),
        Some("no \u{fffd}")
    );
}

/// What becomes of callbacks sent one after the other.
fn sent_to(layer: &ProbeLayer, callbacks: &[Callback]) -> Vec<Disposition> {
    let probe = Probe::with(layer);
    let send = |callback: &Callback| {
        let reply = probe.send(callback.request()).now_or_never().unwrap();
        assert_eq!(reply.status, 200, "{callback:?}");
        reply.disposition.unwrap()
    };
    callbacks.iter().map(send).collect()
}

fn sent(callbacks: &[Callback]) -> Vec<Disposition> {
    sent_to(&layer(), callbacks)
}

fn callback(body: &Value) -> Callback {
    Callback::new("t", body.to_string())
}

use Disposition::{Accepted, Conflict, Duplicate, Late};

#[test]
fn f42_progress_before_the_end_is_delivered_and_never_swallows_the_end() {
    let story = [
        Callback::progress("t", "wait_processing"),
        Callback::progress("t", "processing_validate"),
        Callback::phrase("t", "sing this"),
        Callback::progress("t", "wait_validating"),
        Callback::success("t", "v"),
    ];
    assert_eq!(sent(&story), [Accepted; 5]);
}

#[test]
fn f43_progress_after_the_success_is_late() {
    let story = [
        Callback::success("t", "v"),
        Callback::progress("t", "wait_processing"),
        Callback::phrase("t", "sing this"),
        Callback::failure("t"),
    ];
    assert_eq!(sent(&story), [Accepted, Late, Late, Late]);
}

#[test]
fn after_a_failure_nothing_is_late() {
    let story = [
        Callback::failure("t"),
        Callback::progress("t", "wait_processing"),
        Callback::phrase("t", "sing this"),
        Callback::success("t", "v"),
    ];
    assert_eq!(sent(&story), [Accepted; 4]);
}

#[test]
fn f45_two_different_phrases_are_two_events() {
    let story = [
        Callback::phrase("t", "one"),
        Callback::phrase("t", "two"),
        Callback::phrase("t", "one"),
        Callback::phrase("t", "two"),
    ];
    assert_eq!(sent(&story), [Accepted, Accepted, Duplicate, Duplicate]);
    assert_eq!(
        sent_to(&layer().kind(Validate), &story),
        [Accepted, Accepted, Duplicate, Duplicate]
    );
}

#[tokio::test(start_paused = true)]
async fn f46_progress_is_remembered_for_a_quarter_of_an_hour_and_outcomes_for_a_day() {
    use std::time::Duration;
    let minutes = |count: u64| tokio::time::advance(Duration::from_secs(60 * count));
    let phrase = Callback::phrase("t", "again");
    let failure = Callback::failure("t");
    let probe = Probe::default();
    for callback in [&phrase, &failure] {
        probe.send(callback.request()).await.assert_accepted();
    }
    minutes(14).await;
    probe
        .send(phrase.request())
        .await
        .assert_received(Duplicate);
    minutes(2).await;
    probe.send(phrase.request()).await.assert_accepted();
    probe
        .send(failure.request())
        .await
        .assert_received(Duplicate);
    minutes(23 * 60).await;
    probe
        .send(failure.request())
        .await
        .assert_received(Duplicate);
    minutes(60).await;
    probe.send(failure.request()).await.assert_accepted();
}

#[test]
fn f48_a_failure_then_a_success_are_both_delivered_and_the_reverse_is_late() {
    let (failure, success) = (Callback::failure("t"), Callback::success("t", "v"));
    let both = [
        failure.clone(),
        success.clone(),
        failure.clone(),
        success.clone(),
    ];
    assert_eq!(sent(&both), [Accepted, Accepted, Late, Duplicate]);
    assert_eq!(sent(&[success, failure]), [Accepted, Late]);
}

#[test]
fn f48_every_triple_of_ends_keeps_the_first_success_and_loses_none() {
    let ends = [
        Callback::success("t", "a"),
        Callback::success("t", "b"),
        Callback::failure("t"),
    ];
    for first in 0..3 {
        for second in 0..3 {
            for third in 0..3 {
                let order = [first, second, third];
                let story = order.map(|end| ends[end].clone());
                let expected = model(&order.map(|end| [SUCCESS_A, SUCCESS_B, FAILURE][end]));
                assert_eq!(sent(&story), expected, "{order:?}");
            }
        }
    }
}

#[test]
fn all_failures_of_a_task_are_one_event() {
    let story = [
        callback(&envelope(
            json!(400),
            json!({"status": "fail", "errorMessage": "one"}),
        )),
        callback(&envelope(
            json!(500),
            json!({"status": "fail", "errorMessage": "two"}),
        )),
        callback(&envelope(
            json!(400),
            json!({"status": "processing_validate_fail"}),
        )),
        callback(&envelope(json!(455), json!({"status": "never listed"}))),
    ];
    assert_eq!(sent(&story), [Accepted, Duplicate, Duplicate, Duplicate]);
}

#[test]
fn contradictions_are_told_apart_by_what_they_claim() {
    let odd = |code: i64, data: Value| callback(&envelope(json!(code), data));
    let story = [
        odd(200, json!({"status": "success"})),
        odd(200, json!({"status": "success", "voiceId": "fail"})),
        odd(400, json!({"status": "success", "voiceId": "a"})),
        odd(400, json!({"status": "success", "voiceId": "b"})),
        odd(500, json!({"status": "success", "voiceId": "b"})),
        odd(
            400,
            json!({"status": "wait_validating", "validateInfo": "b"}),
        ),
        odd(400, json!({"status": "b", "voiceId": "b"})),
    ];
    assert_eq!(sent(&story), [Accepted; 7]);
    let twice: Vec<_> = story.iter().cloned().chain(story.iter().cloned()).collect();
    assert_eq!(sent(&twice)[7..], [Duplicate; 7]);
    let then_success: Vec<_> = story
        .into_iter()
        .chain([Callback::success("t", "v")])
        .collect();
    assert_eq!(sent(&then_success).last(), Some(&Accepted));
}

#[test]
fn f57_two_different_bodies_with_a_repeated_key_are_two_events() {
    let odd = |voice: &str| {
        let body =
            r#"{"code":200,"data":{"taskId":"t","status":"success","voiceId":"a","voiceId":"%"}}"#;
        Callback::new("t", body.replace('%', voice))
    };
    assert_eq!(
        sent(&[odd("b"), odd("c"), odd("b")]),
        [Accepted, Accepted, Duplicate]
    );
}

#[test]
fn kinds_and_namespaces_do_not_share_slots_and_tasks_do_not_either() {
    let body = PHRASE.replace("ee9c2715375b7837f8bb51d641ff5863", "t");
    let phrase = Callback::new("t", body);
    let slot = |layer: &ProbeLayer, callback: &Callback| {
        let probe = Probe::with(layer);
        probe
            .send(callback.request())
            .now_or_never()
            .unwrap()
            .assert_accepted();
        *probe.seen.all()[0].1.slot().as_bytes()
    };
    let others = [
        slot(&layer(), &phrase),
        slot(&layer().kind(Validate), &phrase),
        slot(&layer().namespace("other"), &phrase),
        slot(&layer().namespace("other").kind(Validate), &phrase),
        slot(&layer(), &Callback::phrase("t", "The quick brown fo")),
        slot(&layer(), &Callback::phrase("tT", "he quick brown fox")),
        slot(&layer(), &Callback::progress("t", "The quick brown fox")),
        slot(&layer(), &Callback::progress("t", "")),
        slot(&layer(), &Callback::progress("t\\u00e9", "").resigned("té")),
        slot(&layer(), &Callback::success("t", "v")),
        slot(&layer(), &Callback::failure("t")),
    ];
    assert_eq!(others.iter().collect::<HashSet<_>>().len(), others.len());
    assert_eq!(
        slot(&layer(), &phrase),
        others[0],
        "and the same event has the same slot everywhere"
    );
}

trait Resigned {
    fn resigned(self, task_id: &str) -> Self;
}

impl Resigned for Callback {
    fn resigned(mut self, task_id: &str) -> Self {
        self.task_id = task_id.into();
        self.signed_at(harness::unix_now())
    }
}

// Order and duplicates, against a model of one line per rule.

const SUCCESS_A: usize = 0;
const SUCCESS_B: usize = 1;
const FAILURE: usize = 2;

/// Six events of one task that mean six different things, and a seventh that denies itself.
fn events() -> [Callback; 7] {
    [
        Callback::success("t", "a"),
        Callback::success("t", "b"),
        Callback::failure("t"),
        Callback::progress("t", "wait_processing"),
        Callback::phrase("t", "one"),
        Callback::phrase("t", "two"),
        Callback::new(
            "t",
            r#"{"code":200,"data":{"taskId":"t","status":"success","voiceId":"fail"}}"#,
        ),
    ]
}

fn model(order: &[usize]) -> Vec<Disposition> {
    let (mut success, mut done) = (None, HashSet::new());
    let step = |event: &usize| match (*event, success) {
        (SUCCESS_A | SUCCESS_B, None) => {
            success = Some(*event);
            Accepted
        }
        (SUCCESS_A | SUCCESS_B, Some(first)) if first == *event => Duplicate,
        (SUCCESS_A | SUCCESS_B, Some(_)) => Conflict,
        (_, Some(_)) => Late,
        (other, None) if done.insert(other) => Accepted,
        _ => Duplicate,
    };
    order.iter().map(step).collect()
}

fn check(order: &[usize]) {
    let events = events();
    let story: Vec<_> = order.iter().map(|event| events[*event].clone()).collect();
    let became = sent(&story);
    assert_eq!(became, model(order), "{order:?}");
    // What must hold whatever the model says.
    let delivered = |event: usize| {
        let both = order.iter().zip(&became);
        both.filter(|(it, how)| **it == event && **how == Accepted)
            .count()
    };
    let succeeded = delivered(SUCCESS_A) + delivered(SUCCESS_B);
    assert!(
        (0..events.len()).all(|event| delivered(event) <= 1),
        "{order:?}"
    );
    assert_eq!(
        succeeded > 0,
        order.contains(&SUCCESS_A) || order.contains(&SUCCESS_B)
    );
    assert!(succeeded <= 1);
}

fn permutations(of: &[usize]) -> Vec<Vec<usize>> {
    if of.is_empty() {
        return vec![vec![]];
    }
    let with_first = |at: usize| {
        let mut rest = of.to_vec();
        let first = rest.remove(at);
        permutations(&rest)
            .into_iter()
            .map(move |rest| [&[first], &rest[..]].concat())
    };
    (0..of.len()).flat_map(with_first).collect()
}

#[test]
fn f42_every_order_of_six_events_and_their_duplicates_is_as_designed() {
    let all = permutations(&[SUCCESS_A, SUCCESS_B, FAILURE, 3, 4, 6]);
    assert_eq!(all.len(), 720);
    for order in all {
        check(&order);
        // Everything once more afterwards, and each thing twice in a row.
        check(&order.repeat(2));
        let stuttered: Vec<_> = order.iter().flat_map(|event| [*event; 2]).collect();
        check(&stuttered);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn f42_any_story_of_a_task_is_as_designed(order in prop::collection::vec(0..7_usize, 0..24)) {
        check(&order);
    }
}

// The same meaning in other bytes.

/// Rewrites a callback without changing what it means.
fn rewritten(body: &Value, order: &[Index], style: u8) -> String {
    let mut top = body.as_object().unwrap().clone();
    top.insert("msg".into(), json!(format!("other {style}")));
    top.insert(
        format!("extra{style}"),
        json!({"taskId": "decoy", "n": [1, null]}),
    );
    let data = top["data"].as_object_mut().unwrap();
    match style % 4 {
        0 => drop(data.remove("errorCode")),
        1 => drop(data.insert("errorCode".into(), json!(null))),
        2 => drop(data.insert("errorCode".into(), json!(0))),
        _ => drop(data.insert("errorCode".into(), json!("0"))),
    }
    data.insert(
        "errorMessage".into(),
        [json!(null), json!("")][usize::from(style / 4 % 2)].clone(),
    );
    data.insert("newField".into(), json!(style));
    let space = ["", " ", "\n\t", "\r\n    "][usize::from(style / 8 % 4)];
    let inner = object(&shuffled(data, order), space, style);
    let parts = shuffled(&top, order).into_iter();
    let mut top: Vec<_> = parts.filter(|(key, _)| key != "data").collect();
    top.insert(order[0].index(top.len() + 1), ("data".into(), inner));
    format!("{space}{}{space}", object(&top, space, style))
}

fn shuffled(object: &Map<String, Value>, order: &[Index]) -> Vec<(String, String)> {
    let text = |(key, value): (&String, &Value)| (key.clone(), value.to_string());
    let mut left: Vec<_> = object.iter().map(text).collect();
    let mut done = Vec::new();
    for index in order.iter().cycle() {
        if left.is_empty() {
            return done;
        }
        done.push(left.remove(index.index(left.len())));
    }
    done
}

fn object(parts: &[(String, String)], space: &str, style: u8) -> String {
    let escape = style & 0x20 != 0;
    let key = |key: &str| match key.chars().next() {
        Some(first) if escape => format!("\\u{:04x}{}", u32::from(first), &key[1..]),
        _ => key.to_owned(),
    };
    let part = |(name, value): &(String, String)| {
        format!("{space}\"{}\"{space}:{space}{value}{space}", key(name))
    };
    format!(
        "{{{}}}",
        parts.iter().map(part).collect::<Vec<_>>().join(",")
    )
}

proptest! {
    #[test]
    fn f47_the_same_meaning_in_other_bytes_is_a_duplicate(
        which in 0..6_usize,
        order in prop::collection::vec(any::<Index>(), 1..12),
        style in any::<u8>(),
    ) {
        let original = &events()[which];
        let body = serde_json::from_str(&original.body).unwrap();
        let twin = Callback::new("t", rewritten(&body, &order, style));
        prop_assert_ne!(&twin.body, &original.body);
        let (one, other) = (event(Generate, &original.body), event(Generate, &twin.body));
        prop_assert_eq!(one.outcome().as_str(), other.outcome().as_str());
        prop_assert_eq!(sent(&[original.clone(), twin.clone()]), [Accepted, Duplicate]);
        prop_assert_eq!(sent(&[twin, original.clone()]), [Accepted, Duplicate]);
    }
}

#[test]
fn f47_kie_and_sunoapi_spell_the_same_success() {
    let id = "ee9c2715375b7837f8bb51d641ff5863";
    let story = [
        Callback::new(id, KIE_SUCCESS),
        Callback::new(id, SUNOAPI_SUCCESS),
    ];
    assert_eq!(sent(&story), [Accepted, Duplicate]);
    let story = [
        Callback::new(id, KIE_FAILURE),
        Callback::new(id, SUNOAPI_FAILURE),
    ];
    assert_eq!(sent(&story), [Accepted, Duplicate]);
}

#[test]
fn the_documented_payloads_have_the_slots_of_their_meaning() {
    let id = "ee9c2715375b7837f8bb51d641ff5863";
    let story = [
        PHRASE,
        PHRASE_FAILURE,
        GENERATE_VALIDATE_FAILURE,
        SUNOAPI_FAILURE,
        KIE_FAILURE,
        KIE_SUCCESS,
        SUNOAPI_SUCCESS,
        PHRASE,
        PHRASE_FAILURE,
    ]
    .map(|body| Callback::new(id, body));
    let expected = [
        Accepted, Accepted, Duplicate, Duplicate, Duplicate, Accepted, Duplicate, Late, Late,
    ];
    assert_eq!(sent(&story), expected);
}
