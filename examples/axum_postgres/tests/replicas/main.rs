//! Three replicas behind a real proxy, one of them killed while events come.
//!
//! What must hold: every event is received within the provider's four tries, each voice id is in the
//! table once, and a kill costs the tries that it hits and no other.

mod books;
mod fleet;

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use harness::{Callback, counts::REPLICA_KILLS, program::attempt, seed};
use http::StatusCode;

use books::Books;
use fleet::{Fleet, REPLICAS};

/// Kills of one run: fewer than an event has tries.
const KILLS: usize = 3;

const EVENTS: usize = 60;

/// The provider's.
const TRIES: usize = 4;

/// How many events are in flight at any time.
const SENDERS: usize = 6;

/// How long all three live at most before one is killed.
const LIFE: Duration = Duration::from_millis(300);

const BACK_OFF: Duration = Duration::from_millis(100);

#[test]
fn three_replicas_lose_no_event_while_one_is_killed_and_save_each_voice_once() {
    fastrand::seed(seed());
    for _ in 0..REPLICA_KILLS.size().div_ceil(KILLS) {
        run();
    }
}

fn run() {
    let books = Books::new();
    let mut fleet = Fleet::start(&books);
    let left = Arc::new(Mutex::new((0..EVENTS).collect::<Vec<_>>()));
    let sender = |_| {
        let (left, addr) = (Arc::clone(&left), fleet.addr);
        thread::spawn(move || {
            let mut hit = 0;
            while let Some(event) = { left.lock().unwrap().pop() } {
                hit += deliver(event, addr) - 1;
            }
            hit
        })
    };
    let senders: Vec<_> = (0..SENDERS).map(sender).collect();
    for _ in 0..KILLS {
        thread::sleep(LIFE.mul_f64(fastrand::f64())); // what it is doing then is left to chance
        let replica = fastrand::usize(..REPLICAS);
        fleet.kill(replica);
        fleet.restart(replica);
    }
    let hit = senders.into_iter().map(|it| it.join().unwrap());
    let hit: usize = hit.sum();
    assert_eq!(books.voices(), (0..EVENTS).map(voice).collect::<Vec<_>>());
    println!("{EVENTS} events, {KILLS} kills: {hit} tries hit");
    assert!(hit <= KILLS * SENDERS, "{hit} tries failed");
}

/// The one moment that matters: the voice is written, and the record of its event is not.
#[test]
fn a_replica_killed_between_voice_and_record_costs_one_try() {
    let books = Books::new();
    let mut fleet = Fleet::start(&books);
    books.hold();
    let addr = fleet.addr;
    let sender = thread::spawn(move || deliver(0, addr));
    fleet.kill(books.holder());
    books.let_go();
    assert_eq!(sender.join().unwrap(), 2);
    assert_eq!(books.voices(), [voice(0)]);
}

fn voice(event: usize) -> (String, String) {
    (format!("task-{event:03}"), format!("voice-{event:03}"))
}

/// How many tries it took.
fn deliver(event: usize, to: std::net::SocketAddr) -> usize {
    let (task, voice) = voice(event);
    for number in 1..=TRIES {
        let callback = Callback::success(&task, &voice);
        match attempt(to, "/callbacks/suno/voice", &callback) {
            Some(StatusCode::OK) => return number,
            // The proxy says that its replica is gone.
            Some(StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE) => {}
            other => panic!("{task}: {other:?}"),
        }
        thread::sleep(BACK_OFF);
    }
    panic!("{task} is lost: {TRIES} tries failed");
}
