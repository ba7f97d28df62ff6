//! What becomes of content that nobody knows, with and without a confirmer.

use std::sync::{Arc, Mutex};

use harness::{
    Callback, Handler, Receiver, Seen, accepting, key,
    provider::{Provider, Says},
    said, send,
};
use http::StatusCode;
use suno_callback::{
    CallbackKind::{self, Generate, Validate},
    Disposition, MemoryStore, SunoCallbackLayer, Trust,
};
use tower::Layer;

const KINDS: [CallbackKind; 2] = [Generate, Validate];

/// Three stages of a song, on the route of a voice.
fn music() -> [Callback; 3] {
    ["text", "first", "complete"].map(|stage| {
        let body = r#"{"code":200,"data":{"callbackType":"%","task_id":"t","data":[]}}"#;
        Callback::new("t", body.replace('%', stage))
    })
}

fn without_status(field: &str) -> Callback {
    let body = format!(r#"{{"code":200,"data":{{"taskId":"t","{field}":"x"}}}}"#);
    Callback::new("t", body)
}

struct Setup {
    receiver: Receiver<MemoryStore>,
    seen: Seen,
    reported: Arc<Mutex<Vec<String>>>,
}

impl Setup {
    fn confirming(kind: CallbackKind, api: &Provider) -> Self {
        let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
        Self::of(layer.kind(kind).confirm(api.clone()))
    }

    fn of(layer: SunoCallbackLayer<MemoryStore>) -> Self {
        let (seen, reported) = (Seen::default(), Arc::new(Mutex::new(Vec::new())));
        let hook = Arc::clone(&reported);
        let layer = layer.on_unconfirmed(move |event| {
            hook.lock()
                .unwrap()
                .push(event.outcome().as_str().to_owned());
        });
        Self {
            receiver: layer.layer(Handler::new(accepting(seen.clone()))),
            seen,
            reported,
        }
    }

    async fn becomes(&self, callback: &Callback) -> Disposition {
        let reply = send(&self.receiver, callback).await;
        assert_eq!(reply.status(), StatusCode::OK, "{callback:?}");
        said(&reply).unwrap()
    }

    fn outcomes(&self) -> Vec<(String, Trust)> {
        let all = self.seen.all();
        let said = all
            .iter()
            .map(|(event, delivery)| (event.outcome(), delivery.trust()));
        said.map(|(outcome, trust)| (outcome.as_str().to_owned(), trust))
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn every_unknown_content_is_delivered_once() {
    for kind in KINDS {
        let it = Setup::of(SunoCallbackLayer::new(key(), MemoryStore::default()).kind(kind));
        let [text, first, complete] = music();
        let (phrase, voice) = (without_status("validateInfo"), without_status("voiceId"));
        let all = [text, first, complete, phrase, voice];
        for callback in &all {
            assert_eq!(it.becomes(callback).await, Disposition::Accepted);
            assert_eq!(it.becomes(callback).await, Disposition::Duplicate);
        }
        assert_eq!(
            it.outcomes(),
            vec![("unknown".to_owned(), Trust::SignedId); 5]
        );
        // None of them is in the way of the voice.
        let success = Callback::success("t", "v");
        assert_eq!(it.becomes(&success).await, Disposition::Accepted);
        assert_eq!(it.becomes(&all[0]).await, Disposition::Late);
    }
}

#[tokio::test(start_paused = true)]
async fn the_record_decides_about_unknown_content() {
    let record = Callback::success("t", "v");
    for kind in KINDS {
        let it = Setup::confirming(kind, &Provider::that([Says::record_of(kind, &record)]));
        let voice = without_status("voiceId");
        assert_eq!(it.becomes(&voice).await, Disposition::Accepted);
        assert_eq!(it.outcomes(), [("ready".to_owned(), Trust::Confirmed)]);
        assert_eq!(it.reported.lock().unwrap().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_record_does_not_decide_unknown_content_is_delivered_and_reported_at_once() {
    let undecided = Says::record(&Callback::progress("t", "never listed"));
    for answer in [Says::PENDING, undecided] {
        let api = Provider::that([answer]);
        let it = Setup::confirming(Generate, &api);
        let began = tokio::time::Instant::now();
        for callback in &music() {
            assert_eq!(it.becomes(callback).await, Disposition::Accepted);
        }
        assert_eq!(
            began.elapsed().as_secs(),
            0,
            "nobody waits for a record that has no end"
        );
        assert_eq!(
            it.outcomes(),
            vec![("unknown".to_owned(), Trust::SignedId); 3]
        );
        assert_eq!(*it.reported.lock().unwrap(), ["unknown"; 3]);
        assert_eq!(api.asked(), 1, "one answer serves all of a second");
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_away_costs_unknown_content_no_try() {
    let it = Setup::confirming(Generate, &Provider::that([Says::UNAVAILABLE]));
    let odd = without_status("validateInfo");
    assert_eq!(it.becomes(&odd).await, Disposition::Accepted);
    assert_eq!(it.outcomes(), [("unknown".to_owned(), Trust::SignedId)]);
    assert_eq!(*it.reported.lock().unwrap(), ["unknown"]);
}

#[tokio::test(start_paused = true)]
async fn a_validation_that_ended_without_a_phrase_is_told_to_the_handler() {
    let ended = Callback::progress("t", "success");
    let it = Setup::confirming(
        Validate,
        &Provider::that([Says::record_of(Validate, &ended)]),
    );
    assert_eq!(it.becomes(&ended).await, Disposition::Accepted);
    assert_eq!(it.becomes(&ended).await, Disposition::Duplicate);
    assert_eq!(
        it.outcomes(),
        [("inconsistent".to_owned(), Trust::Confirmed)]
    );
}
