//! The step `confirm`: what the provider says when it is asked wins, and it is not asked often.

mod common;

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use common::{
    Callback, Receiver, Reply, Seen,
    faulty::{Faulty, Op},
    handling, key, said, send,
};
use http::StatusCode;
use suno_callback::{
    CallbackKind, Confirm, Confirmation, Disposition, Drain, Limits, Rejection, SunoCallbackLayer,
    Times, Trust, Unconfirmed, UrlSecret, VoiceEvent, VoiceOutcome,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tower::{Layer, Service};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// One answer of a provider.
#[derive(Clone, Debug)]
enum Says {
    Success(&'static str),
    Failure,
    Phrase(&'static str),
    /// A success without a voice.
    Nothing,
    /// The record of another task.
    Stranger,
    /// The record of the other kind of callback.
    OtherKind,
    Pending,
    Unavailable,
    Hangs,
    Panics,
    After(Duration, Box<Says>),
}

/// A provider that answers as it is told, the last answer again and again.
#[derive(Clone)]
struct Provider {
    answers: Arc<Mutex<VecDeque<Says>>>,
    asked: Arc<Mutex<Vec<(String, Instant)>>>,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Provider {
    fn that<const N: usize>(answers: [Says; N]) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into())),
            asked: Arc::default(),
            open: Arc::default(),
            most: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn says(&self, what: Says) {
        *self.answers.lock().unwrap() = [what].into();
    }

    fn next(&self) -> Says {
        let mut answers = self.answers.lock().unwrap();
        match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        }
    }
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Confirm for Provider {
    async fn confirm(&self, claimed: &VoiceEvent) -> Confirmation {
        let asked = (claimed.task_id().to_string(), Instant::now());
        self.asked.lock().unwrap().push(asked);
        let open = self.open.fetch_add(1, SeqCst) + 1;
        let _open = Open(Arc::clone(&self.open));
        self.most.fetch_max(open, SeqCst);
        let mut says = self.next();
        if let Says::After(delay, then) = says {
            sleep(delay).await;
            says = *then;
        }
        let record = |task: &str, fields: &str| {
            format!(r#"{{"code":200,"msg":"success","data":{{"taskId":"{task}",{fields}}}}}"#)
        };
        let task = claimed.task_id().as_str();
        let (record, kind) = match says {
            Says::Success(voice) => {
                let fields = format!(r#""status":"success","voiceId":"{voice}""#);
                (record(task, &fields), claimed.kind())
            }
            Says::Failure => (record(task, r#""status":"fail""#), claimed.kind()),
            Says::Phrase(phrase) => {
                let fields = format!(r#""status":"wait_validating","validateInfo":"{phrase}""#);
                (record(task, &fields), claimed.kind())
            }
            Says::Nothing => (record(task, r#""status":"success""#), claimed.kind()),
            Says::Stranger => (record("x", r#""status":"fail""#), claimed.kind()),
            Says::OtherKind => (record(task, r#""status":"fail""#), CallbackKind::Validate),
            Says::Pending => return Confirmation::Pending,
            Says::Unavailable | Says::After(..) => return Confirmation::Unavailable,
            Says::Hangs => pending().await,
            Says::Panics => panic!("a rotten provider"),
        };
        Confirmation::Confirmed(VoiceEvent::from_record(kind, &record).unwrap())
    }
}

struct Setup {
    provider: Provider,
    store: Faulty,
    receiver: Receiver<Faulty>,
    drain: Drain,
    seen: Seen,
    unconfirmed: Arc<AtomicUsize>,
}

impl Setup {
    fn new<const N: usize>(answers: [Says; N]) -> Self {
        Self::with(answers, StatusCode::OK, |layer| layer)
    }

    fn with<const N: usize>(
        answers: [Says; N],
        status: StatusCode,
        build: impl FnOnce(SunoCallbackLayer<Faulty>) -> SunoCallbackLayer<Faulty>,
    ) -> Self {
        let store = Faulty::default();
        Self::over(
            build(SunoCallbackLayer::new(key(), store.clone())),
            store,
            answers,
            status,
        )
    }

    fn over<const N: usize>(
        layer: SunoCallbackLayer<Faulty>,
        store: Faulty,
        answers: [Says; N],
        status: StatusCode,
    ) -> Self {
        let (seen, provider) = (Seen::default(), Provider::that(answers));
        let unconfirmed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&unconfirmed);
        let layer = layer.confirm(provider.clone()).on_unconfirmed(move |_| {
            count.fetch_add(1, SeqCst);
        });
        Self {
            provider,
            store,
            drain: layer.drain(),
            receiver: layer.layer(handling(seen.clone(), move |_| async move { status })),
            seen,
            unconfirmed,
        }
    }

    async fn send(&self, callback: &Callback) -> Reply {
        send(&self.receiver, callback).await
    }

    async fn timed(&self, callback: &Callback) -> (Reply, Duration) {
        let start = Instant::now();
        let reply = self.send(callback).await;
        (reply, start.elapsed())
    }

    fn spawn(&self, callback: &Callback) -> JoinHandle<Reply> {
        let (receiver, callback) = (self.receiver.clone(), callback.clone());
        tokio::spawn(async move { send(&receiver, &callback).await })
    }

    fn assert_unconfirmed(&self, reply: &Reply) {
        assert_eq!(said(reply), Some(Rejection::Unconfirmed));
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(reply.headers().contains_key("retry-after"));
        assert_eq!((self.seen.len(), self.store.count(Op::Claim)), (0, 0));
        assert_eq!(
            (self.drain.active(), self.provider.open.load(SeqCst)),
            (0, 0)
        );
    }
}

fn success() -> Callback {
    Callback::success("task", "voice")
}

fn failure() -> Callback {
    Callback::failure("task")
}

fn inconsistent() -> Callback {
    Callback::success("task", "fail")
}

fn voice_of(event: &VoiceEvent) -> Option<&str> {
    match event.outcome() {
        VoiceOutcome::Ready(voice) => Some(voice.as_str()),
        _ => None,
    }
}

// What is true.

#[tokio::test(start_paused = true)]
async fn the_record_replaces_what_the_callback_claims() {
    let it = Setup::new([Says::Success("true")]);
    let reply = it.send(&Callback::success("task", "forged")).await;
    assert_eq!(said(&reply), Some(Disposition::Accepted));
    let (event, delivery) = it.seen.all().remove(0);
    assert_eq!(voice_of(&event), Some("true"));
    assert_eq!(delivery.trust(), Trust::Confirmed);
}

#[tokio::test(start_paused = true)]
async fn the_record_chooses_the_slot() {
    // A forged success of a task that failed must not take the place of the success.
    let it = Setup::new([Says::Failure]);
    assert_eq!(
        said(&it.send(&success()).await),
        Some(Disposition::Accepted)
    );
    let failed = it.seen.all().remove(0).0;
    assert!(matches!(failed.outcome(), VoiceOutcome::Failed(_)));
    let reply = it.send(&failure()).await;
    assert_eq!(said(&reply), Some(Disposition::Duplicate));
    sleep(secs(2)).await;
    it.provider.says(Says::Success("voice"));
    assert_eq!(
        said(&it.send(&success()).await),
        Some(Disposition::Accepted)
    );
    assert_eq!(it.seen.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_forged_failure_of_a_task_that_succeeded_delivers_the_success() {
    for forged in [failure(), inconsistent()] {
        let it = Setup::new([Says::Success("voice")]);
        assert_eq!(said(&it.send(&forged).await), Some(Disposition::Accepted));
        assert_eq!(voice_of(&it.seen.all()[0].0), Some("voice"));
        let reply = it.send(&success()).await;
        assert_eq!(said(&reply), Some(Disposition::Duplicate));
        assert_eq!((it.seen.len(), it.provider.asked()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_pending_is_asked_for_again_after_a_second() {
    let it = Setup::new([Says::Pending, Says::Pending, Says::Success("voice")]);
    let (reply, took) = it.timed(&success()).await;
    assert_eq!(said(&reply), Some(Disposition::Accepted));
    assert_eq!(it.provider.asked(), 3);
    assert!(took >= secs(2) && took < ms(2100), "{took:?}");
    assert_eq!(it.unconfirmed.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn records_that_settle_nothing_are_not_handed_over() {
    for says in [
        Says::Pending,
        Says::Nothing,
        Says::Stranger,
        Says::OtherKind,
        Says::Phrase("sing"),
    ] {
        let it = Setup::new([says.clone()]);
        let (reply, took) = it.timed(&success()).await;
        it.assert_unconfirmed(&reply);
        assert!(took >= secs(4) && took < ms(4050), "{says:?} {took:?}");
        assert!((4..=5).contains(&it.provider.asked()), "{says:?}");
        assert_eq!(it.unconfirmed.load(SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_away_postpones_at_once_and_one_that_hangs_after_four_seconds() {
    let it = Setup::new([Says::Unavailable]);
    let (reply, took) = it.timed(&success()).await;
    it.assert_unconfirmed(&reply);
    assert_eq!((took, it.provider.asked()), (secs(0), 1));
    assert_eq!(it.unconfirmed.load(SeqCst), 1);

    let it = Setup::new([Says::Hangs]);
    let (reply, took) = it.timed(&success()).await;
    it.assert_unconfirmed(&reply);
    assert!(took >= secs(4) && took < ms(4010), "{took:?}");
    assert_eq!(it.unconfirmed.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn how_long_to_ask_is_a_knob() {
    let confirm = secs(2);
    let times = Times {
        confirm,
        ..Times::default()
    };
    let it = Setup::with([Says::Hangs], StatusCode::OK, |layer| {
        layer.times(times).unwrap()
    });
    let (reply, took) = it.timed(&success()).await;
    it.assert_unconfirmed(&reply);
    assert!(took >= secs(2) && took < ms(2010), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_confirmed_can_be_delivered_with_the_trust_of_its_signature() {
    for says in [Says::Unavailable, Says::Hangs, Says::Pending] {
        let it = Setup::with([says], StatusCode::OK, |layer| {
            layer.unconfirmed(Unconfirmed::Deliver)
        });
        let reply = it.send(&success()).await;
        assert_eq!(said(&reply), Some(Disposition::Accepted));
        let (event, delivery) = it.seen.all().remove(0);
        assert_eq!(voice_of(&event), Some("voice"));
        assert_eq!(delivery.trust(), Trust::SignedId);
        assert_eq!(it.unconfirmed.load(SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unsigned_callback_becomes_as_good_as_the_record() {
    let (store, secret) = (Faulty::default(), "sixteen-bytes-or-more");
    let layer = SunoCallbackLayer::unsigned(UrlSecret::new(secret).unwrap(), store.clone());
    let it = Setup::over(layer, store, [Says::Success("true")], StatusCode::OK);
    let request = success().request_to(format!("/?token={secret}"));
    let reply = it.receiver.clone().call(request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let (event, delivery) = it.seen.all().remove(0);
    assert_eq!(
        (voice_of(&event), delivery.trust()),
        (Some("true"), Trust::Confirmed)
    );
}

// Who asks, and how often.

#[tokio::test(start_paused = true)]
async fn everybody_who_waits_shares_one_question() {
    let answer = Says::After(secs(1), Box::new(Says::Success("voice")));
    let it = Setup::new([answer]);
    let claims = [success(), failure(), inconsistent()];
    let all: Vec<_> = (0..60).map(|n| it.spawn(&claims[n % 3])).collect();
    for request in all {
        assert_eq!(request.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!((it.provider.asked(), it.seen.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_used_again_for_a_second_and_no_longer() {
    // A handler that fails, so that nothing is done.
    let it = Setup::with([Says::Success("voice")], StatusCode::BAD_GATEWAY, |layer| {
        layer
    });
    for (pause, asked) in [(0, 1), (400, 1), (599, 1), (1, 2), (999, 2), (1, 3)] {
        sleep(ms(pause)).await;
        let reply = it.send(&success()).await;
        assert_eq!(said(&reply), Some(Disposition::HandlerFailed));
        assert_eq!(it.provider.asked(), asked, "after {pause} ms more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_counts_from_the_answer_and_not_from_the_question() {
    let answer = Says::After(secs(3), Box::new(Says::Success("voice")));
    let it = Setup::with([answer], StatusCode::BAD_GATEWAY, |layer| layer);
    it.send(&success()).await;
    sleep(ms(900)).await;
    let (_, took) = it.timed(&success()).await;
    assert_eq!((took, it.provider.asked()), (secs(0), 1));
}

#[tokio::test(start_paused = true)]
async fn each_task_has_a_question_of_its_own() {
    let it = Setup::new([Says::After(secs(1), Box::new(Says::Success("voice")))]);
    let start = Instant::now();
    let all: Vec<_> = (0..10)
        .map(|n| it.spawn(&Callback::success(&format!("task-{n}"), "voice")))
        .collect();
    for request in all {
        assert_eq!(request.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!((it.provider.asked(), it.seen.len()), (10, 10));
    assert!(start.elapsed() < ms(1050));
}

#[tokio::test(start_paused = true)]
async fn open_questions_are_bounded_and_above_the_provider_counts_as_away() {
    let limits = Limits {
        questions: 3,
        ..Limits::default()
    };
    let answer = Says::After(secs(2), Box::new(Says::Success("voice")));
    let it = Setup::with([answer], StatusCode::OK, |layer| layer.limits(limits));
    let start = Instant::now();
    let all: Vec<_> = (0..10)
        .map(|n| it.spawn(&Callback::success(&format!("task-{n}"), "voice")))
        .collect();
    let mut refused = 0;
    for request in all {
        let reply = request.await.unwrap();
        refused += usize::from(said(&reply) == Some(Rejection::Unconfirmed));
    }
    assert_eq!((refused, it.provider.most.load(SeqCst)), (7, 3));
    assert_eq!(it.unconfirmed.load(SeqCst), 7);
    // The places are back.
    sleep(secs(2)).await;
    assert!(start.elapsed() >= secs(4));
    let reply = it.send(&Callback::success("task-9", "voice")).await;
    assert_eq!(said(&reply), Some(Disposition::Accepted));
}

#[tokio::test(start_paused = true)]
async fn after_a_done_success_nobody_is_asked() {
    let it = Setup::new([Says::Success("voice")]);
    it.send(&success()).await;
    sleep(secs(10)).await;
    let said_to = async |callback: &Callback| said::<Disposition>(&it.send(callback).await);
    assert_eq!(said_to(&success()).await, Some(Disposition::Duplicate));
    assert_eq!(said_to(&failure()).await, Some(Disposition::Late));
    assert_eq!(said_to(&inconsistent()).await, Some(Disposition::Late));
    let other = Callback::success("task", "another");
    assert_eq!(said_to(&other).await, Some(Disposition::Conflict));
    assert_eq!(it.provider.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn progress_is_never_asked_about_and_phrases_only_where_that_is_wanted() {
    let it = Setup::new([Says::Phrase("true")]);
    for callback in [
        Callback::progress("task", "wait_processing"),
        Callback::phrase("task", "sing"),
    ] {
        assert_eq!(said(&it.send(&callback).await), Some(Disposition::Accepted));
    }
    assert_eq!(it.provider.asked(), 0);

    let it = Setup::with([Says::Phrase("true")], StatusCode::OK, |layer| {
        layer.confirm_phrases()
    });
    let reply = it.send(&Callback::phrase("task", "forged")).await;
    assert_eq!(said(&reply), Some(Disposition::Accepted));
    assert_eq!(it.seen.all()[0].0.validate_info(), Some("true"));
    assert_eq!(it.provider.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_the_one_who_asked_leaves_another_asks_and_when_all_leave_nobody_does() {
    let answer = Says::After(secs(2), Box::new(Says::Success("voice")));
    let it = Setup::new([answer]);
    let first = it.spawn(&success());
    sleep(ms(100)).await;
    let second = it.spawn(&success());
    sleep(ms(900)).await;
    assert_eq!(it.provider.asked(), 1);
    first.abort();
    assert_eq!(said(&second.await.unwrap()), Some(Disposition::Accepted));
    assert_eq!((it.provider.asked(), it.provider.most.load(SeqCst)), (2, 1));

    let it = Setup::new([Says::Hangs]);
    let only = it.spawn(&success());
    sleep(ms(100)).await;
    assert_eq!(it.provider.open.load(SeqCst), 1);
    only.abort();
    assert!(only.await.unwrap_err().is_cancelled());
    assert_eq!((it.provider.open.load(SeqCst), it.drain.active()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_hung_is_asked_anew_by_the_next_try() {
    let it = Setup::new([Says::Hangs, Says::Success("voice")]);
    it.assert_unconfirmed(&it.send(&success()).await);
    let (reply, took) = it.timed(&success()).await;
    assert_eq!(said(&reply), Some(Disposition::Accepted));
    assert_eq!(took, secs(0));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_panics_leaves_nothing_behind() {
    let it = Setup::new([Says::Panics, Says::Success("voice")]);
    let first = it.spawn(&success()).await;
    assert!(first.is_err() || first.unwrap().status() != StatusCode::OK);
    assert_eq!((it.provider.open.load(SeqCst), it.drain.active()), (0, 0));
    sleep(secs(1)).await;
    let reply = it.send(&success()).await;
    assert_eq!(said(&reply), Some(Disposition::Accepted));
}
