//! Every knob at its ends: what would break a promise is refused with a text that names it, and
//! what is accepted works.

use std::time::Duration;

use harness::{
    Callback, Handler, Seen, accepting,
    faulty::{Fault, Faults as _, Faulty, OPS},
    key, ms,
    probe::WallClock,
    said, secs, send,
};
use http::StatusCode;
use suno_callback::{Disposition, Limits, SunoCallbackLayer, Times};
use tokio::runtime::Builder;
use tower::Layer;

const YEAR: Duration = secs(365 * 24 * 3600);

type Knob<T, V> = (&'static str, fn(&mut T, V));

const TIMES: [Knob<Times, Duration>; 11] = [
    ("reply_deadline", |it, to| it.reply_deadline = to),
    ("body", |it, to| it.body = to),
    ("lease", |it, to| it.lease = to),
    ("heartbeat", |it, to| it.heartbeat = to),
    ("store_operation", |it, to| it.store_operation = to),
    ("poll", |it, to| it.poll = to),
    ("tolerance", |it, to| it.tolerance = to),
    ("detached", |it, to| it.detached = to),
    ("retain_outcome", |it, to| it.retain_outcome = Some(to)),
    ("retain_progress", |it, to| it.retain_progress = to),
    ("confirm", |it, to| it.confirm = to),
];

const LIMITS: [Knob<Limits, usize>; 6] = [
    ("body", |it, to| it.body = Some(to)),
    ("waiters_per_slot", |it, to| it.waiters_per_slot = to),
    ("waiters", |it, to| it.waiters = to),
    ("events_per_task", |it, to| it.events_per_task = to),
    ("deferred_commits", |it, to| it.deferred_commits = to),
    ("questions", |it, to| it.questions = to),
];

/// Progress, a success whose store has a hiccup at every step, and its twin.
async fn works(layer: SunoCallbackLayer<Faulty>) {
    let (seen, store) = (Seen::default(), layer.store().clone());
    let receiver = layer.layer(Handler::new(accepting(seen.clone())));
    let progress = Callback::progress("task", "processing").signed_at(NOW);
    let first = send(&receiver, &progress).await;
    assert_eq!(said(&first), Some(Disposition::Accepted));
    OPS.iter().for_each(|op| store.next(*op, [Fault::Fail]));
    let success = Callback::success("task", "voice").signed_at(NOW);
    let (first, second) = tokio::join!(send(&receiver, &success), send(&receiver, &success));
    for reply in [first, second, send(&receiver, &success).await] {
        assert_eq!(reply.status(), StatusCode::OK, "{:?}", reply.extensions());
    }
    let again = send(&receiver, &progress).await;
    assert_eq!(again.status(), StatusCode::OK);
    assert_eq!(seen.len(), 2);
}

fn in_virtual_time(work: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(work);
}

/// The wall clock stands still, or a tolerance of nothing would end with the second.
const NOW: u64 = 1_800_000_000;

fn layer() -> SunoCallbackLayer<Faulty> {
    SunoCallbackLayer::new(key(), Faulty::default()).clock(WallClock::at(NOW))
}

#[test]
fn every_time_is_refused_with_its_name_or_works() {
    let ends = [
        Duration::ZERO,
        Duration::from_nanos(1),
        ms(1),
        secs(60),
        YEAR,
        Duration::MAX,
    ];
    let mut accepted = Vec::new();
    for (name, set) in TIMES {
        for to in ends {
            let mut times = Times::default();
            set(&mut times, to);
            match layer().times(times) {
                Err(refusal) => {
                    let text = refusal.to_string();
                    assert!(text.contains(name), "{name} = {to:?}: {text}");
                    let value = format!("{to:?}");
                    assert!(text.contains(&value), "{name} = {to:?}: {text}");
                }
                Ok(layer) => {
                    accepted.push((name, to));
                    in_virtual_time(works(layer));
                }
            }
        }
    }
    for expected in [
        ("reply_deadline", YEAR),
        ("body", ms(1)),
        ("heartbeat", ms(1)),
        ("store_operation", ms(1)),
        ("poll", ms(1)),
        ("tolerance", Duration::ZERO),
        ("detached", ms(1)),
        ("retain_outcome", Duration::MAX),
        ("retain_progress", Duration::MAX),
        ("confirm", ms(1)),
    ] {
        assert!(accepted.contains(&expected), "{expected:?}");
    }
}

#[test]
fn all_times_at_their_ends_together_work() {
    let shortest = Times {
        reply_deadline: secs(4),
        body: ms(1),
        lease: ms(4),
        heartbeat: ms(1),
        store_operation: ms(1),
        poll: ms(1),
        tolerance: Duration::ZERO,
        detached: ms(1),
        retain_outcome: Some(secs(3600)),
        retain_progress: secs(1),
        confirm: ms(1),
    };
    let longest = Times {
        reply_deadline: YEAR,
        body: YEAR - ms(1),
        lease: secs(60),
        heartbeat: secs(15),
        store_operation: secs(15),
        poll: secs(3600),
        tolerance: Duration::MAX,
        detached: YEAR,
        retain_outcome: None,
        retain_progress: Duration::MAX,
        confirm: YEAR / 2,
    };
    for times in [shortest, longest] {
        in_virtual_time(works(layer().times(times).unwrap()));
    }
}

#[test]
fn every_limit_is_refused_with_its_name_or_works() {
    let mut refused = Vec::new();
    for (name, set) in LIMITS {
        for to in [0, 1, 1024, 64 << 20, usize::MAX] {
            let mut limits = Limits::default();
            set(&mut limits, to);
            match layer().limits(limits) {
                Err(refusal) => {
                    let text = refusal.to_string();
                    assert!(
                        text.starts_with(&format!("{name} is {to}: give it ")),
                        "{text}"
                    );
                    refused.push((name, to));
                }
                // No event has so small a body.
                Ok(_) if (name, to) == ("body", 1) => {}
                Ok(layer) => in_virtual_time(works(layer)),
            }
        }
    }
    let expected = [
        ("body", 0),
        ("body", usize::MAX),
        ("waiters_per_slot", 0),
        ("waiters", 0),
        ("events_per_task", 0),
        ("events_per_task", 64 << 20),
        ("events_per_task", usize::MAX),
        ("questions", 0),
    ];
    assert_eq!(refused, expected);
}

#[test]
fn a_refusal_says_what_to_change() {
    let refusal = |times: Times| times.check().unwrap_err().to_string();
    let long = Times {
        lease: secs(8),
        ..Times::default()
    };
    assert_eq!(
        refusal(long),
        "lease (8s) + poll (500ms) + store_operation (1s) + 3s for the handler + store_operation (1s) \
         is 13.5s and must be below reply_deadline (13s): shorten lease, poll or store_operation"
    );
    let slow = Times {
        heartbeat: secs(2),
        ..Times::default()
    };
    assert_eq!(
        refusal(slow),
        "heartbeat (2s) + store_operation (1s) must fit twice into lease (5s), or one renewal that \
         fails loses the claim: shorten them together to 2.5s, or give lease 6s"
    );
    let forgetful = Times {
        retain_progress: secs(60),
        ..Times::default()
    };
    assert_eq!(
        refusal(forgetful),
        "retain_progress (60s) must be at least twice the tolerance (300s): give it 600s"
    );
}

#[test]
fn a_product_is_said_before_what_speaks_of_its_events() {
    use harness::provider::{Provider, Says};
    use suno_callback::product::Music;

    type Layer = SunoCallbackLayer<Faulty>;
    let speaking: [fn(Layer) -> Layer; 3] = [
        |it| it.confirm(Provider::that([Says::PENDING])),
        |it| it.on_unconfirmed(|_| {}),
        |it| it.on_conflict(|_| {}),
    ];
    for speak in speaking {
        let late = move || drop(speak(layer()).receives(Music));
        let panic = std::panic::catch_unwind(late).unwrap_err();
        let text = panic.downcast_ref::<&str>().unwrap();
        assert!(text.starts_with("`receives` comes before"), "{text}");
    }
    let silent = layer().namespace("n").unconfirmed(Default::default());
    drop(silent.receives(Music).on_conflict(|_| {}));
}
