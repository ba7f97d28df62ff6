//! One captured header pair can claim any progress, phrase or contradiction of its task: only so
//! many of them reach the handler and the store.

use std::{convert::Infallible, time::Duration};

use harness::{Callback, Receiver, Seen, accepting, key, said, send};
use http::StatusCode;
use suno_callback::{
    CallbackKind, Disposition, Limits, MemoryStore, Rejection, SunoCallbackLayer,
    product::{AnyProduct, Product, Stage},
};
use tower::{Layer, Service};

const LIMIT: usize = 16;

/// How many ends of one task are let through.
const ENDS: usize = 16 * LIMIT;

struct Setup {
    layer: SunoCallbackLayer<MemoryStore>,
    receiver: Receiver<MemoryStore>,
    seen: Seen,
}

impl Setup {
    fn new(limits: Limits) -> Self {
        let seen = Seen::default();
        let layer = SunoCallbackLayer::new(key(), MemoryStore::default())
            .limits(limits)
            .unwrap();
        let receiver = layer.layer(harness::Handler::new(accepting(seen.clone())));
        Self {
            layer,
            receiver,
            seen,
        }
    }

    fn validating() -> Self {
        let seen = Seen::default();
        let store = MemoryStore::default();
        let layer = SunoCallbackLayer::new(key(), store).kind(CallbackKind::Validate);
        let receiver = layer.layer(harness::Handler::new(accepting(seen.clone())));
        Self {
            layer,
            receiver,
            seen,
        }
    }

    /// Sends it and says what became of it.
    async fn send(&self, callback: &Callback) -> Result<Disposition, Rejection> {
        let reply = send(&self.receiver, callback).await;
        match (said(&reply), said(&reply)) {
            (Some(disposition), None) => Ok(disposition),
            (None, Some(rejection)) => Err(rejection),
            both => panic!("{both:?}"),
        }
    }

    /// Uses up what a task has.
    async fn fill(&self) {
        for callback in made_up().take(LIMIT) {
            assert_eq!(self.send(&callback).await, Ok(Disposition::Accepted));
        }
    }
}

/// Different things that one header pair can say about its task.
fn made_up() -> impl Iterator<Item = Callback> {
    (0..).map(|number| match number % 3 {
        0 => Callback::progress("task", &format!("status-{number}")),
        1 => Callback::phrase("task", &format!("phrase {number}")),
        _ => Callback::new(
            "task",
            format!(
                r#"{{"code":9{number},"data":{{"taskId":"task","voiceId":"v","status":"success"}}}}"#
            ),
        ),
    })
}

#[tokio::test(start_paused = true)]
async fn f35_a_flood_of_variants_runs_the_handler_and_fills_the_store_a_bounded_number_of_times() {
    let it = Setup::new(Limits::default());
    it.fill().await;
    for callback in made_up().skip(LIMIT).take(1_000) {
        let reply = send(&it.receiver, &callback).await;
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(said(&reply), Some(Rejection::TooManyVariants));
    }
    assert_eq!((it.seen.len(), it.layer.store().len()), (LIMIT, LIMIT));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_variants_keeps_nothing_else_out() {
    let it = Setup::new(Limits::default());
    it.fill().await;
    for known in made_up().take(LIMIT) {
        assert_eq!(it.send(&known).await, Ok(Disposition::Duplicate));
    }
    for other in [
        Callback::progress("another", "status-0"),
        Callback::failure("task"),
        Callback::success("task", "voice"),
    ] {
        assert_eq!(it.send(&other).await, Ok(Disposition::Accepted));
    }
}

/// Made-up statuses, on the route of a validation.
fn unlisted() -> impl Iterator<Item = Callback> {
    (0..LIMIT).map(|number| Callback::progress("task", &format!("status-{number}")))
}

/// What ends a validation, and says nothing of a phrase.
fn moved_on() -> Callback {
    Callback::progress("task", "success")
}

#[tokio::test(start_paused = true)]
async fn no_flood_keeps_out_what_ends_a_validation() {
    let it = Setup::validating();
    for unlisted in unlisted() {
        assert_eq!(it.send(&unlisted).await, Ok(Disposition::Accepted));
    }
    for genuine in [
        Callback::phrase("task", "the genuine one"),
        Callback::phrase("task", "made anew"),
        Callback::failure("task"),
        moved_on(),
        Callback::progress("task", "wait_processing"),
    ] {
        assert_eq!(it.send(&genuine).await, Ok(Disposition::Accepted));
    }
    let next = Callback::progress("task", "another status");
    assert_eq!(it.send(&next).await, Err(Rejection::TooManyVariants));
}

#[tokio::test(start_paused = true)]
async fn what_ends_a_validation_is_remembered_as_long_as_an_outcome() {
    let it = Setup::validating();
    let ends = [
        Callback::phrase("task", "sing"),
        Callback::failure("task"),
        moved_on(),
    ];
    for end in &ends {
        assert_eq!(it.send(end).await, Ok(Disposition::Accepted));
    }
    for hours in [1, 22] {
        tokio::time::advance(Duration::from_secs(3_600 * hours)).await;
        for end in &ends {
            let again = end.clone().signed_at(harness::unix_now());
            assert_eq!(it.send(&again).await, Ok(Disposition::Duplicate));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_has_room_again_when_no_pair_of_the_flood_can_be_fresh() {
    let it = Setup::new(Limits::default());
    it.fill().await;
    let next = made_up().nth(LIMIT).unwrap();
    tokio::time::advance(Duration::from_secs(599)).await;
    assert_eq!(it.send(&next).await, Err(Rejection::TooManyVariants));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(it.send(&next).await, Ok(Disposition::Accepted));
}

#[tokio::test(start_paused = true)]
async fn how_many_variants_a_task_has_is_a_limit_that_can_be_set() {
    let it = Setup::new(Limits {
        events_per_task: 2,
        ..Limits::default()
    });
    let mut answers = Vec::new();
    for callback in made_up().take(3) {
        answers.push(it.send(&callback).await.is_ok());
    }
    assert_eq!(answers, [true, true, false]);
}

/// Where nobody knows what a body means, each is a success of its own.
#[tokio::test]
async fn successes_that_differ_in_their_content_are_bounded_too() {
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default()).receives(AnyProduct);
    let handler = tower::service_fn(async |_| Ok::<_, Infallible>(harness::answer(StatusCode::OK)));
    let mut receiver = layer.layer(handler);
    let mut answers = Vec::new();
    for number in 0..=ENDS {
        let data = r#"{"taskId":"task","callbackType":"complete"}"#;
        let body = format!(r#"{{"code":200,"msg":"{number}","data":{data}}}"#);
        assert_eq!(AnyProduct.parse(&body).unwrap().stage(), Stage::Success);
        let reply = receiver.call(Callback::new("task", body).request()).await;
        answers.push(reply.unwrap().extensions().get().copied());
    }
    let refused = answers.pop().unwrap();
    assert_eq!(refused, Some(Rejection::TooManyVariants));
    assert_eq!(answers, [None; ENDS]);
}

/// A captured pair can make up ends too, where each content is one: many, and not without end.
#[tokio::test]
async fn ends_that_differ_in_their_content_are_bounded_far_above_what_is_genuine() {
    let setup = Setup::validating();
    for number in 0..ENDS {
        let phrase = Callback::phrase("task", &format!("made up {number}"));
        assert_eq!(setup.send(&phrase).await, Ok(Disposition::Accepted));
    }
    let one_more = Callback::phrase("task", "one more");
    assert_eq!(setup.send(&one_more).await, Err(Rejection::TooManyVariants));
    let failure = Callback::failure("task");
    assert_eq!(setup.send(&failure).await, Ok(Disposition::Accepted));
    let another = Callback::phrase("another task", "one more");
    assert_eq!(setup.send(&another).await, Ok(Disposition::Accepted));
    assert_eq!(setup.seen.len(), ENDS + 2);
}
