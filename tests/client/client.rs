//! The provider's API through `VoiceClient`.

use std::time::Duration;

use bytes::Bytes;
use harness::{
    fake_api::{API_KEY, FakeApi, Reply},
    vacant::Vacant,
};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use suno_callback::{
    TaskId, VoiceOutcome,
    client::{ApiKey, ClientError, KIE_AI, SUNOAPI_ORG, VoiceClient},
    product::{AnyProduct, Midi, Product},
};
use tokio::time::{Instant, timeout};
use tower::util::BoxCloneService;

fn key() -> ApiKey {
    ApiKey::new(API_KEY).unwrap()
}

fn client(api: &FakeApi) -> VoiceClient<FakeApi> {
    VoiceClient::new(api.clone(), key())
}

fn task(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_record_is_what_the_api_says_about_the_task() {
    let api = FakeApi::default();
    api.succeed("t", "voice");
    let record = client(&api).record_info(&task("t")).await.unwrap().unwrap();
    assert!(matches!(record.outcome(), VoiceOutcome::Ready(id) if *id == "voice"));
    api.phrase("p", "la la");
    let record = client(&api).validate_info(&task("p")).await;
    let record = record.unwrap().unwrap();
    assert_eq!(record.outcome(), VoiceOutcome::PhraseReady("la la"));
    let paths: Vec<_> = api.requests().into_iter().map(|it| it.path).collect();
    assert_eq!(
        paths,
        ["/api/v1/voice/record-info", "/api/v1/voice/validate-info"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_young_task_has_no_record_yet() {
    let api = FakeApi::default();
    assert!(
        client(&api)
            .record_info(&task("t"))
            .await
            .unwrap()
            .is_none()
    );
    api.set("t", r#"{"code":200,"msg":"success"}"#.into());
    assert!(
        client(&api)
            .record_info(&task("t"))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn a_voice_is_checked_with_the_id_in_snake_case() {
    let api = FakeApi::default();
    api.succeed("t \"1\"", "voice");
    assert!(client(&api).check_voice(&task("t \"1\"")).await.unwrap());
    assert!(!client(&api).check_voice(&task("other")).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn every_request_carries_the_key_and_a_user_agent() {
    let api = FakeApi::default();
    let named = client(&api).user_agent(HeaderValue::from_static("my app"));
    let _ = client(&api).record_info(&task("t")).await;
    let _ = client(&api).check_voice(&task("t")).await;
    let _ = named.validate_info(&task("t")).await;
    let requests = api.requests();
    let agents = requests.iter().map(|it| it.headers["user-agent"].clone());
    let agents: Vec<_> = agents.collect();
    assert!(agents[0].to_str().unwrap().starts_with("suno-callback/"));
    assert_eq!(agents[1], agents[0]);
    assert_eq!(agents[2], "my app");
    for request in requests {
        assert_eq!(
            request.headers["authorization"],
            format!("Bearer {API_KEY}")
        );
        assert!(request.headers["authorization"].is_sensitive());
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_cannot_leave_its_place_in_the_query() {
    let api = FakeApi::default();
    for id in ["a&taskId=b", "a#b", "../x?y=z", "ü 100%", "a+b/c=d"] {
        let _ = client(&api).record_info(&task(id)).await;
        let asked = api.requests().pop().unwrap();
        assert_eq!(asked.task_id, id);
        assert_eq!(asked.path, "/api/v1/voice/record-info");
    }
}

#[tokio::test(start_paused = true)]
async fn each_number_is_an_error_of_its_own_in_status_and_body() {
    let body = |code| format!(r#"{{"code":{code},"msg":"no","data":null}}"#);
    for (code, expected) in [
        (401, "unauthorized"),
        (402, "no_credits"),
        (403, "forbidden"),
        (404, "not_found"),
        (422, "invalid"),
        (429, "too_many_requests"),
        (455, "maintenance"),
        (500, "server"),
        (505, "server"),
        (418, "unexpected"),
    ] {
        for reply in [Reply::new(code, ""), Reply::new(200, body(code))] {
            let api = FakeApi::default();
            api.break_down(reply);
            let error = client(&api).record_info(&task("t")).await.unwrap_err();
            assert_eq!(error.as_str(), expected, "{code}");
            let error = client(&api).check_voice(&task("t")).await.unwrap_err();
            assert_eq!(error.as_str(), expected, "{code}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_not_200_is_an_error_whatever_the_body_says() {
    let api = FakeApi::default();
    let good = r#"{"code":200,"data":{"taskId":"t","voiceId":"v","status":"success"}}"#;
    for status in [201, 204, 302, 400, 500] {
        api.break_down(Reply::new(status, good));
        assert!(
            client(&api).record_info(&task("t")).await.is_err(),
            "{status}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_without_a_task_id_is_of_the_task_that_was_asked_about() {
    let api = FakeApi::default();
    for (body, outcome) in [
        (
            r#"{"code":200,"data":{"status":"success","voiceId":"v"}}"#,
            "ready",
        ),
        (
            r#"{"code":200,"data":{"taskId":null,"status":"fail"}}"#,
            "failed",
        ),
        (r#"{"code":200,"data":{}}"#, "unknown"),
    ] {
        api.set("t", body.into());
        let record = client(&api).record_info(&task("t")).await.unwrap().unwrap();
        assert_eq!(
            (record.task_id().as_str(), record.outcome().as_str()),
            ("t", outcome)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_with_damage_in_a_text_is_read() {
    let api = FakeApi::default();
    for damage in [
        r#""no \ud83d""#,
        r#""\udfa4""#,
        "1e999",
        r#""","\ud83d":"""#,
    ] {
        let body = r#"{"code":200,"msg":%,"data":{"taskId":"t","status":"fail","errorMessage":%}}"#;
        for body in [
            body.replace('%', damage),
            format!("\u{feff}{}", body.replace('%', "\"\"")),
        ] {
            api.set("t", body);
            let record = client(&api).record_info(&task("t")).await.unwrap().unwrap();
            assert_eq!(record.outcome().as_str(), "failed", "{damage}");
        }
    }
    api.set(
        "t",
        r#"{"code":200,"data":{"taskId":"t\ud83d","status":"fail"}}"#.into(),
    );
    let error = client(&api).record_info(&task("t")).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreadable), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_documented_json_is_unreadable() {
    let api = FakeApi::default();
    for body in [
        "",
        "<html>",
        "[]",
        r#"{"data":null}"#,
        r#"{"code":"yes","data":null}"#,
        r#"{"code":200,"data":[]}"#,
        r#"{"code":200,"data":"t"}"#,
        r#"{"code":200,"data":{"taskId":"t","taskId":"u","status":"success"}}"#,
    ] {
        api.set("t", body.into());
        let error = client(&api).record_info(&task("t")).await.unwrap_err();
        assert!(matches!(error, ClientError::Unreadable), "{body}: {error}");
    }
    let nested = format!(
        r#"{{"code":200,"data":{}{}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    api.set("t", nested);
    assert!(client(&api).record_info(&task("t")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_record_of_another_task_is_refused() {
    let api = FakeApi::default();
    let other = r#"{"code":200,"data":{"taskId":"u","voiceId":"v","status":"success"}}"#;
    api.set("t", other.into());
    let error = client(&api).record_info(&task("t")).await.unwrap_err();
    assert!(matches!(error, ClientError::WrongTask));
}

#[tokio::test(start_paused = true)]
async fn an_endless_answer_is_not_read_to_its_end() {
    let api = FakeApi::default();
    api.set("t", " ".repeat(VoiceClient::<FakeApi>::MAX_ANSWER + 1));
    let error = client(&api).record_info(&task("t")).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge));
}

#[tokio::test(start_paused = true)]
async fn of_a_product_with_large_callbacks_twice_as_much_is_read() {
    let (api, task) = (FakeApi::default(), task("t"));
    let most = 2 * Midi.body_limit();
    for (length, fits) in [(most, true), (most + 1, false)] {
        let record = r#"{"code":200,"data":{"taskId":"t","state":"complete","successFlag":1,"midiData":{"state":"complete","instruments":[]}}}"#;
        api.set("t", record.to_owned() + &" ".repeat(length - record.len()));
        let client = client(&api).timeout(Duration::from_secs(60));
        match client.record(&Midi, &task).await {
            Ok(Some(_)) => assert!(fits, "{length}"),
            Err(ClientError::TooLarge) => assert!(!fits, "{length}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_product_without_an_endpoint_nothing_is_asked() {
    let api = FakeApi::default();
    let error = client(&api).record(&AnyProduct, &task("t")).await;
    assert!(matches!(error, Err(ClientError::NoRecords)), "{error:?}");
    assert_eq!(api.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn by_default_an_answer_and_a_turn_are_waited_for_ten_seconds_each() {
    let ten = Duration::from_secs(10);
    let api = FakeApi::default();
    let client = client(&api);
    api.hang();
    let began = Instant::now();
    let error = client.record_info(&task("t")).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut));
    assert_eq!(began.elapsed(), ten);
    api.recover();
    api.break_down(Reply::new(429, "").retry_after("60"));
    let _ = client.record_info(&task("u")).await;
    let began = Instant::now();
    let error = client.record_info(&task("v")).await.unwrap_err();
    assert!(matches!(error, ClientError::Busy));
    assert_eq!(began.elapsed(), ten);
}

#[tokio::test(start_paused = true)]
async fn by_default_five_a_second_are_asked_and_a_rate_of_none_is_one() {
    let times = async |client: VoiceClient<FakeApi>, api: FakeApi, count| {
        let tasks: Vec<_> = (0..count).map(|n| task(&format!("task-{n}"))).collect();
        let questions = tasks.iter().map(|task| client.record_info(task));
        futures_util::future::join_all(questions).await;
        api.requests().iter().map(|it| it.at).collect::<Vec<_>>()
    };
    let api = FakeApi::default();
    let asked = times(client(&api), api, 11).await;
    for pair in asked.windows(2) {
        assert_eq!(pair[1] - pair[0], Duration::from_millis(200));
    }
    let (api, span) = (FakeApi::default(), Duration::from_secs(4));
    let asked = times(client(&api).rate(0, span), api, 3).await;
    for pair in asked.windows(2) {
        assert_eq!(pair[1] - pair[0], span);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_with_its_time() {
    let api = FakeApi::default();
    api.hang();
    let client = client(&api).timeout(Duration::from_secs(2));
    let began = Instant::now();
    let error = client.record_info(&task("t")).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut));
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_429_all_clones_hold_back_for_as_long_as_the_provider_wishes() {
    let api = FakeApi::default();
    let client = client(&api).timeout(Duration::from_secs(100));
    api.break_down(Reply::new(429, "").retry_after("30"));
    let error = client.record_info(&task("t")).await.unwrap_err();
    let wished = Duration::from_secs(30);
    assert!(matches!(error, ClientError::TooManyRequests { retry_after } if retry_after == wished));
    api.recover();
    let began = Instant::now();
    client.clone().record_info(&task("t")).await.unwrap();
    assert!(began.elapsed() >= wished);
}

#[tokio::test(start_paused = true)]
async fn a_wish_out_of_all_proportion_is_bounded() {
    for (wish, seconds) in [("0", 1), ("18446744073709551615", 300), ("soon", 1)] {
        let api = FakeApi::default();
        api.break_down(Reply::new(429, "").retry_after(wish));
        match client(&api).record_info(&task("t")).await {
            Err(ClientError::TooManyRequests { retry_after }) => {
                assert_eq!(retry_after.as_secs(), seconds, "{wish}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_wish_the_pause_doubles_until_the_provider_answers() {
    let api = FakeApi::default();
    let client = client(&api).timeout(Duration::from_secs(100));
    let mut pauses = Vec::new();
    for up in [false, false, false, true, false] {
        match up {
            true => api.recover(),
            false => api.break_down(Reply::new(200, r#"{"code":429}"#)),
        }
        if let Err(ClientError::TooManyRequests { retry_after }) =
            client.record_info(&task("t")).await
        {
            pauses.push(retry_after.as_secs());
        }
    }
    assert_eq!(pauses, [1, 2, 4, 1]);
}

#[tokio::test(start_paused = true)]
async fn while_held_back_a_caller_gets_its_answer_in_time() {
    let api = FakeApi::default();
    let client = client(&api);
    api.break_down(Reply::new(429, "").retry_after("60"));
    let _ = client.record_info(&task("t")).await;
    let error = client.record_info(&task("t")).await.unwrap_err();
    assert!(matches!(error, ClientError::Busy));
    assert_eq!(api.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_window_sees_more_than_the_rate() {
    let api = FakeApi::default();
    let client = client(&api)
        .rate(10, Duration::from_secs(1))
        .timeout(Duration::from_secs(60));
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..100 {
        let client = client.clone();
        asking.spawn(async move { client.record_info(&task(&n.to_string())).await.is_ok() });
    }
    assert!(asking.join_all().await.into_iter().all(|ok| ok));
    let times: Vec<_> = api.requests().iter().map(|it| it.at).collect();
    for eleven in times.windows(11) {
        assert!(eleven[10] - eleven[0] >= Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_does_not_keep_the_turn() {
    let api = FakeApi::default();
    let client = client(&api).rate(1, Duration::from_secs(5));
    client.record_info(&task("t")).await.unwrap();
    let impatient = task("u");
    let question = client.record_info(&impatient);
    let given_up = timeout(Duration::from_secs(1), question).await;
    assert!(given_up.is_err(), "it should have waited for its turn");
    let began = Instant::now();
    client.record_info(&task("v")).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_sync_will_do() {
    let api = FakeApi::default();
    api.succeed("t", "v");
    let boxed: BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, _> =
        BoxCloneService::new(api.clone());
    let client = VoiceClient::new(boxed, key());
    let asked = tokio::spawn(async move { client.record_info(&task("t")).await });
    assert!(asked.await.unwrap().unwrap().is_some());
}

#[test]
fn a_base_url_is_a_plain_http_url() {
    let api = FakeApi::default();
    for good in [KIE_AI, SUNOAPI_ORG, "http://127.0.0.1:1/", "https://p/x"] {
        assert!(client(&api).base_url(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "api.kie.ai",
        "/x",
        "ftp://x",
        "https://x?y",
        "https://u:p@x",
    ] {
        assert!(client(&api).base_url(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_key_is_shown_nowhere() {
    for bad in ["", " \n", "a b", "a\u{7f}", "ключ"] {
        assert!(ApiKey::new(bad).is_err(), "{bad:?}");
    }
    let client = VoiceClient::https(key()).unwrap();
    let shown = format!("{client:?} {:?} {:?}", key(), client.clone());
    assert!(!shown.contains(API_KEY), "{shown}");
}

#[tokio::test]
async fn the_ready_made_client_speaks_to_a_socket() {
    let api = FakeApi::default();
    api.succeed("t", "v");
    let base = api.serve().await;
    let client = VoiceClient::https(key()).unwrap().base_url(&base).unwrap();
    let record = client.record_info(&task("t")).await.unwrap().unwrap();
    assert_eq!(record.voice_id().unwrap(), &"v");
    assert!(client.check_voice(&task("t")).await.unwrap());
    assert!(api.requests()[0].headers.contains_key("host"));
}

#[tokio::test]
async fn nobody_at_the_other_end_is_a_transport_error() {
    let nobody = Vacant::reserve();
    let base = format!("http://{}", nobody.addr());
    let client = VoiceClient::https(key()).unwrap().base_url(&base).unwrap();
    let error = client.record_info(&task("t")).await.unwrap_err();
    assert!(matches!(error, ClientError::Transport(_)), "{error}");
    assert!(!format!("{error:?}").contains(API_KEY));
}

#[tokio::test(start_paused = true)]
async fn one_task_is_asked_about_three_times_a_second_at_most() {
    let api = FakeApi::default();
    let client = client(&api).rate(1_000, Duration::from_secs(1));
    let (hot, other) = (task("hot"), task("other"));
    let questions = (0..9).map(|_| client.record_info(&hot));
    futures_util::future::join_all(questions).await;
    let asked: Vec<_> = api.requests().iter().map(|it| it.at).collect();
    assert_eq!(asked.len(), 9);
    for window in asked.windows(4) {
        assert!(window[3] - window[0] > Duration::from_secs(1), "{window:?}");
    }
    let began = Instant::now();
    client.record_info(&other).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(10));
}
