//! What the body says: refused when it names no task, delivered whatever it says about one.

use suno_callback::{
    Disposition, Inconsistency, InvalidEvent, Rejection, TaskId, VoiceOutcome, VoiceStatus,
};

use bytes::Bytes;
use futures_util::FutureExt;
use harness::{
    Callback, answer,
    probe::{Probe, layer},
};
use http_body_util::{BodyExt, Full};

/// The same body, also as large as one whose ids are looked at before it is read.
fn in_both_sizes(body: String) -> [String; 2] {
    let large = body.clone() + &" ".repeat(5_000);
    [body, large]
}

async fn refused(signed: &str, body: impl Into<String>, why: InvalidEvent) {
    for body in in_both_sizes(body.into()) {
        let probe = Probe::default();
        let reply = probe
            .send(Callback::new(signed, body.clone()).request())
            .await;
        assert_eq!(reply.rejection, Some(why.into()), "{body}");
        reply.assert_refusal(why.into());
        probe.assert_untouched();
    }
}

async fn delivered(signed: &str, body: impl Into<String>) {
    for body in in_both_sizes(body.into()) {
        let probe = Probe::default();
        let reply = probe
            .send(Callback::new(signed, body.clone()).request())
            .await;
        assert_eq!(reply.disposition, Some(Disposition::Accepted), "{body}");
        reply.assert_accepted();
        assert_eq!(probe.seen.runs_of(signed), 1);
    }
}

#[tokio::test]
async fn f58_what_is_not_json_is_400() {
    for body in [
        "",
        " ",
        "null",
        "true",
        "1",
        "\"t\"",
        "[]",
        "[{\"taskId\":\"t\"}]",
        "{",
        "}",
        "{]",
        r#"{"taskId":"t"}x"#,
        r#"{"taskId":"t"} {"taskId":"t"}"#,
        r#"{"taskId":"t",}"#,
        r#"{"taskId":"t" "code":200}"#,
        r#"{"taskId":"t","code":0200}"#,
        r#"{"taskId":"t","code":+200}"#,
        r#"{"taskId":"t","code":NaN}"#,
        r#"{"taskId":"t","x":.5}"#,
        r#"{"taskId":"t","x":tru}"#,
        r#"{"taskId":"t"/*c*/}"#,
        "{\"taskId\":\"t\n\"}",
        "{\"taskId\":\"\u{0}t\"}",
        "\u{feff}\u{feff}{\"taskId\":\"t\"}",
        " \u{feff}{\"taskId\":\"t\"}",
        r#"{"taskId":"\ud800"}"#,
        r#"{"taskId":"\udc00\ud800"}"#,
        r#"{"taskId":"\u12"}"#,
        r#"{"taskId":"\x74"}"#,
        "taskId=t&code=200",
        "<taskId>t</taskId>",
    ] {
        refused("t", body, InvalidEvent::NotJson).await;
    }
}

#[tokio::test]
async fn f56_a_body_without_a_task_id_is_400() {
    for body in [
        "{}",
        r#"{"data":{}}"#,
        r#"{"data":null}"#,
        r#"{"data":"taskId"}"#,
        r#"{"data":[{"taskId":"t"}]}"#,
        r#"{"data":{"data":{"taskId":"t"}}}"#,
        r#"{"data":{"taskId":null}}"#,
        r#"{"taskId":null,"task_id":null,"data":{"taskId":null,"task_id":null}}"#,
        r#"{"TaskId":"t","taskid":"t","task-id":"t","id":"t"," taskId":"t"}"#,
        r#"{"result":{"taskId":"t"}}"#,
    ] {
        refused("t", body, InvalidEvent::NoTaskId).await;
    }
}

#[tokio::test]
async fn f56_the_task_id_is_found_in_all_four_places_and_null_counts_as_absent() {
    for body in [
        r#"{"taskId":"t"}"#,
        r#"{"task_id":"t"}"#,
        r#"{"data":{"taskId":"t"}}"#,
        r#"{"data":{"task_id":"t"}}"#,
        r#"{"taskId":"t","data":{"task_id":"t"}}"#,
        r#"{"taskId":"t","task_id":"t","data":{"taskId":"t","task_id":"t"}}"#,
        r#"{"taskId":null,"data":{"task_id":null,"taskId":"t"}}"#,
        r#"{"taskId":"t","data":null}"#,
        r#"{"taskId":"t","data":"odd"}"#,
        r#"{"taskId":"t","data":[1,{"taskId":"u"}]}"#,
        r#"{"taskId":"t","data":7}"#,
        r#"{"taskId":"t","other":{"taskId":"u"}}"#,
        r#"{"taskId":"\u0074","data":{"task_id":"t"}}"#,
        r#"{"t\u0061skId":"t"}"#,
    ] {
        delivered("t", body).await;
    }
}

#[tokio::test]
async fn f56_two_different_task_ids_are_400_whichever_of_them_is_signed() {
    let places = [
        "\"taskId\":%",
        "\"task_id\":%",
        "\"data\":{\"taskId\":%}",
        "\"data\":{\"task_id\":%}",
    ];
    for (one, first) in places.iter().enumerate() {
        for second in &places[one + 1..] {
            if first.contains("data") && second.contains("data") {
                continue; // both in one object, below
            }
            for (a, b) in [
                ("\"a\"", "\"b\""),
                ("\"a\"", "\"A\""),
                ("\"a\"", "\"a \""),
                ("\"a\"", "1"),
                ("\"a\"", "[]"),
                ("\"a\"", "\"\""),
                ("\"1\"", "1"),
                ("\"true\"", "true"),
                ("\"b\"", "{}"),
            ] {
                let body = format!("{{{},{}}}", first.replace('%', a), second.replace('%', b));
                for signed in ["a", "b", "1"] {
                    refused(signed, body.clone(), InvalidEvent::TaskIdsDiffer).await;
                }
            }
        }
    }
    for body in [
        r#"{"taskId":"a","task_id":"a","data":{"taskId":"a","task_id":"b"}}"#,
        r#"{"taskId":"a","task_id":"a","data":{"taskId":"b","task_id":"a"}}"#,
        r#"{"taskId":"a","task_id":"b","data":{"taskId":"a","task_id":"a"}}"#,
        r#"{"taskId":"b","task_id":"a","data":{"taskId":"a","task_id":"a"}}"#,
        r#"{"task_id":"b","data":{"taskId":"a","task_id":"a"}}"#,
    ] {
        refused("a", body, InvalidEvent::TaskIdsDiffer).await;
    }
    let both = r#"{"data":{"taskId":"a","task_id":"b"}}"#;
    refused("a", both, InvalidEvent::TaskIdsDiffer).await;
    refused("b", both, InvalidEvent::TaskIdsDiffer).await;
}

#[tokio::test]
async fn f57_a_repeated_key_on_the_way_to_an_id_is_refused() {
    for body in [
        r#"{"taskId":"t","taskId":"t"}"#,
        r#"{"taskId":"t","taskId":"u"}"#,
        r#"{"taskId":"u","taskId":"t"}"#,
        r#"{"taskId":null,"taskId":"t"}"#,
        r#"{"task_id":"t","task_id":"t"}"#,
        r#"{"data":{"taskId":"t","taskId":"t"}}"#,
        r#"{"data":{"task_id":"t","task_id":"u"}}"#,
        r#"{"data":{"taskId":"t"},"data":{"taskId":"t"}}"#,
        r#"{"data":{"taskId":"t"},"data":null}"#,
        r#"{"data":null,"data":{"taskId":"t"}}"#,
        r#"{"data":[],"taskId":"t","data":{"status":"success"}}"#,
        r#"{"taskId":"t","\u0074askId":"t"}"#,
        r#"{"data":{"taskId":"t","\u0074askId":"u"}}"#,
        r#"{"data":{"taskId":"u","t\u0061sk\u0049d":"t"}}"#,
        r#"{"data":{"taskId":"t"},"d\u0061ta":{"taskId":"u"}}"#,
        r#"{"data":{"task_id":"t","task\u005fid":"u"}}"#,
    ] {
        refused("t", body, InvalidEvent::RepeatedKey).await;
        refused("u", body, InvalidEvent::RepeatedKey).await;
    }
}

#[tokio::test]
async fn f57_a_repeated_key_elsewhere_is_delivered_as_inconsistent() {
    for body in [
        r#"{"code":200,"code":200,"data":{"taskId":"t","status":"success","voiceId":"v"}}"#,
        r#"{"code":200,"data":{"taskId":"t","status":"success","status":"fail","voiceId":"v"}}"#,
        r#"{"code":200,"data":{"taskId":"t","status":"success","voiceId":"v","voice\u0049d":"w"}}"#,
        r#"{"code":200,"data":{"taskId":"t","status":"wait_validating","validateInfo":"a","validateInfo":"b"}}"#,
    ] {
        let probe = Probe::default();
        probe
            .send(Callback::new("t", body).request())
            .await
            .assert_accepted();
        let (event, _) = probe.seen.all().pop().unwrap();
        let expected = VoiceOutcome::Inconsistent(Inconsistency::RepeatedKey);
        assert_eq!(event.outcome(), expected, "{body}");
    }
    let harmless = r#"{"msg":"a","msg":"b","x":1,"x":2,"data":{"taskId":"t","y":1,"y":2}}"#;
    delivered("t", harmless).await;
}

#[tokio::test]
async fn f56_the_task_id_has_1_to_256_bytes_without_control_characters() {
    for id in [
        "a".to_owned(),
        " ".into(),
        "a.b:c-d_e/f\\g\"h'i".into(),
        "x".repeat(TaskId::MAX_LEN),
        "é".repeat(TaskId::MAX_LEN / 2),
        "🎤".into(),
        "\u{202e}\u{2028}\u{feff}".into(),
        "'; DROP TABLE t; --".into(),
        "../../etc/passwd".into(),
        "undefined".into(),
        "null".into(),
    ] {
        let json = serde_json::to_string(&id).unwrap();
        delivered(&id, format!(r#"{{"data":{{"taskId":{json}}}}}"#)).await;
    }
    for id in [
        String::new(),
        "x".repeat(TaskId::MAX_LEN + 1),
        "é".repeat(TaskId::MAX_LEN / 2) + "x",
        "x".repeat(10_000),
    ] {
        let json = serde_json::to_string(&id).unwrap();
        let body = format!(r#"{{"data":{{"taskId":{json}}}}}"#);
        refused(&id, body, InvalidEvent::TaskIdOutsideGrammar).await;
    }
    for json in [
        "1",
        "1.5",
        "true",
        "false",
        "[]",
        "{}",
        "[\"t\"]",
        "{\"t\":1}",
        "-0",
        "18446744073709551616",
    ] {
        let body = format!(r#"{{"data":{{"taskId":{json}}}}}"#);
        refused("t", body, InvalidEvent::TaskIdOutsideGrammar).await;
    }
}

#[test]
fn f56_every_character_is_allowed_in_a_task_id_or_it_is_a_control_character() {
    let allowed = |char: char| TaskId::new(format!("t{char}")).is_ok();
    for char in '\0'..=char::MAX {
        // C0, DEL and C1: what Unicode calls Cc.
        let control = matches!(char, '\0'..='\x1f' | '\x7f'..='\u{9f}');
        assert_eq!(allowed(char), !control, "{char:?}");
    }
}

#[tokio::test]
async fn f56_a_control_character_in_a_task_id_is_400_however_it_is_written() {
    let controls = (0..0x20).chain(0x7F..0xA0);
    for code in controls {
        let char = char::from_u32(code).unwrap();
        let body = format!(r#"{{"data":{{"taskId":"a\u{code:04x}b"}}}}"#);
        refused(
            &format!("a{char}b"),
            body,
            InvalidEvent::TaskIdOutsideGrammar,
        )
        .await;
        let raw = format!(r#"{{"data":{{"taskId":"a{char}b"}}}}"#);
        let why = match code < 0x20 {
            true => InvalidEvent::NotJson,
            false => InvalidEvent::TaskIdOutsideGrammar,
        };
        refused(&format!("a{char}b"), raw, why).await;
    }
}

#[tokio::test]
async fn f49_unknown_and_odd_content_under_a_good_signature_is_delivered() {
    let values = [
        "null",
        "0",
        "-1",
        "200",
        "200.0",
        "1e300",
        "18446744073709551615",
        "99999999999999999999",
        "true",
        "\"\"",
        "\"200\"",
        "\"success\"",
        "\"SUCCESS\"",
        "\"fail\"",
        "[]",
        "{}",
        "[[[{}]]]",
        "{\"taskId\":\"u\"}",
        "\"\\u0000\\u001b[31m\"",
        "\"\u{202e}\"",
    ];
    let fields = [
        "status",
        "voiceId",
        "validateInfo",
        "errorCode",
        "errorMessage",
        "newField",
    ];
    for value in values {
        for field in fields {
            delivered(
                "t",
                format!(r#"{{"code":200,"data":{{"taskId":"t","{field}":{value}}}}}"#),
            )
            .await;
        }
        delivered(
            "t",
            format!(r#"{{"code":{value},"msg":{value},"x":{value},"taskId":"t"}}"#),
        )
        .await;
        delivered(
            "t",
            format!(r#"{{"taskId":"t","data":{value}}}"#).replace("{\"taskId\":\"u\"}", "{}"),
        )
        .await;
    }
    let long = "x".repeat(10_000);
    delivered(
        "t",
        format!(r#"{{"taskId":"t","data":{{"status":"{long}"}}}}"#),
    )
    .await;
    delivered("t", r#"{"taskId":"t","x":"\ud800"}"#).await;
    delivered("t", r#"{"taskId":"t","x":1e999}"#).await;
}

#[tokio::test]
async fn f49_an_unknown_status_reaches_the_handler_as_it_was_written() {
    let probe = Probe::default();
    let body = r#"{"code":200,"data":{"taskId":"t","status":"Waiting \u00e9"}}"#;
    probe
        .send(Callback::new("t", body).request())
        .await
        .assert_accepted();
    let (event, _) = probe.seen.all().pop().unwrap();
    assert_eq!(*event.status(), VoiceStatus::Other("Waiting é".into()));
    assert_eq!(event.outcome(), VoiceOutcome::Unknown);
}

#[tokio::test]
async fn f67_an_id_that_nobody_announced_is_delivered() {
    delivered(
        "never heard of",
        Callback::success("never heard of", "v").body,
    )
    .await;
}

#[tokio::test]
async fn a_large_body_is_read_only_once_its_ids_are_signed() {
    let (not_json, no_id) = (InvalidEvent::NotJson.into(), InvalidEvent::NoTaskId.into());
    for (body, signed, of_small, of_large) in [
        (r#"{"taskId":"t","code":0200}"#, "t", not_json, not_json),
        (
            r#"{"taskId":"t","code":0200}"#,
            "u",
            not_json,
            Rejection::SignatureWrong,
        ),
        (r#"{taskId:"t"}"#, "t", not_json, no_id),
        ("{}}", "t", not_json, no_id),
        (r#"{'taskId':'t'}"#, "t", not_json, no_id),
    ] {
        for (body, why) in in_both_sizes(body.into())
            .into_iter()
            .zip([of_small, of_large])
        {
            let probe = Probe::default();
            let reply = probe.send(Callback::new(signed, body).request()).await;
            reply.assert_refusal(why);
            probe.assert_untouched();
        }
    }
}

#[tokio::test]
async fn f57_the_signed_id_is_the_one_that_is_handed_over() {
    // Decoys in every place that is not one of the four.
    let body = r#"{"task":{"taskId":"u"},"data":{"task":{"taskId":"u"},"taskId":"t","status":"success",
        "voiceId":"v","voice":{"voiceId":"w"}},"code":200,"status":"fail","voiceId":"w"}"#;
    let probe = Probe::default();
    let reply = probe.send(Callback::new("u", body).request()).await;
    reply.assert_refusal(Rejection::SignatureWrong);
    probe.assert_untouched();
    probe
        .send(Callback::new("t", body).request())
        .await
        .assert_accepted();
    let (event, _) = probe.seen.all().pop().unwrap();
    assert_eq!(*event.task_id(), "t");
    assert!(matches!(event.outcome(), VoiceOutcome::Ready(id) if *id == "v"));
}

#[tokio::test]
async fn a_task_id_is_read_beside_damage_whatever_its_characters() {
    let body = |id: &[u8]| {
        let begin = br#"{"code":200,"data":{"taskId":""#;
        let end = br#"","voiceId":"v","status":"success","errorMessage":""#;
        Bytes::from([begin, id, end, b"\xff\"}}"].concat())
    };
    let probe = Probe::default();
    for id in ["t", "t\u{e9}", "\u{266a}"] {
        let request = Callback::new(id, "").request();
        let request = request.map(|_| Full::new(body(id.as_bytes())));
        probe.send(request).await.assert_accepted();
        let (event, _) = probe.seen.all().pop().unwrap();
        assert_eq!(*event.task_id(), id);
    }
    // What was meant nobody knows, so nobody can have signed it.
    let request = Callback::new("t\u{fffd}", "").request();
    let request = request.map(|_| Full::new(body(b"t\xff")));
    let reply = probe.send(request).await;
    reply.assert_refusal(InvalidEvent::NotJson.into());
}

#[tokio::test]
async fn an_event_with_damaged_text_is_delivered_with_its_exact_bytes() {
    let before =
        r#"{"code":200,"data":{"taskId":"t","voiceId":"v","status":"success","errorMessage":"#;
    for damage in [
        &br#""\ud83c""#[..],
        br#""\udfa4 \ud83c x""#,
        b"\"\xf0\x9f\x8e\"",
        b"\"\xff\"",
        b"1e999",
        br#""","\ud83c":1,"x":"\ud83c""#,
    ] {
        for (mark, blanks) in [("", 0), ("\u{feff}", 0), ("", 5_000), ("\u{feff}", 5_000)] {
            let parts = [mark.as_bytes(), before.as_bytes(), damage, b"}}"];
            let body = [parts.concat(), vec![b' '; blanks]].concat();
            let (sender, receiver) = std::sync::mpsc::channel();
            let probe = Probe::answering(&layer(), move |request| {
                let body = request.into_body().collect().now_or_never().unwrap();
                sender.send(body.unwrap().to_bytes()).unwrap();
                Ok(answer(http::StatusCode::OK))
            });
            let request = Callback::new("t", "").request();
            let request = request.map(|_| Full::new(Bytes::from(body.clone())));
            probe.send(request).await.assert_accepted();
            assert_eq!(receiver.try_recv().unwrap(), body);
            let (event, _) = probe.seen.all().pop().unwrap();
            assert!(matches!(event.outcome(), VoiceOutcome::Ready(id) if *id == "v"));
            assert!(event.body().starts_with(before), "{}", event.body());
        }
    }
}
