//! The memory store when it is full, when time passes, and against a plain model of a store.

use std::{collections::HashMap, time::Duration};

use suno_callback::{
    MemoryStore,
    store::{Claim, DedupStore, Held, KEEP_FENCE, Owner, Record, Settled, SlotKey, StoreFull},
};
use tokio::time::{Instant, advance};

const LEASE: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn slot(number: u64) -> SlotKey {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    SlotKey::from(bytes)
}

fn owner(number: u64) -> Owner {
    Owner::from(u128::from(number).to_be_bytes())
}

async fn hold(store: &MemoryStore, number: u64) -> Held {
    match store.claim(&slot(number), owner(number), LEASE).await {
        Ok(Claim::Granted(held)) => held,
        other => panic!("slot {number}: {other:?}"),
    }
}

async fn done(store: &MemoryStore, number: u64, retain: Duration) {
    let held = hold(store, number).await;
    let settled = store
        .commit(&slot(number), &held, &Record::EMPTY, retain)
        .await;
    assert_eq!(settled, Ok(Settled::Applied));
}

async fn is_done(store: &MemoryStore, number: u64) -> bool {
    store.peek(&slot(number)).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_full_store_never_drops_a_claim() {
    let store = MemoryStore::with_capacity(100);
    let mut held = Vec::new();
    for number in 0..50 {
        held.push(hold(&store, number).await);
    }
    for number in 50..10_050 {
        done(&store, number, DAY).await;
        assert!(store.len() <= 100, "{} entries", store.len());
    }
    assert_eq!(store.len(), 100);
    for (number, held) in (0..).zip(&held) {
        let stranger = store.claim(&slot(number), owner(1 << 40), LEASE).await;
        assert!(
            matches!(stranger, Ok(Claim::InFlight { .. })),
            "slot {number}: {stranger:?}"
        );
        let settled = store.commit(&slot(number), held, &Record::EMPTY, DAY).await;
        assert_eq!(settled, Ok(Settled::Applied), "slot {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_store_drops_the_done_entry_that_ends_first() {
    let store = MemoryStore::with_capacity(4);
    for (number, hours) in [(1, 9), (2, 3), (3, 7), (4, 5)] {
        done(&store, number, Duration::from_secs(hours * 3600)).await;
    }
    for (newcomer, dropped) in [(5, 2), (6, 4), (7, 3), (8, 1)] {
        assert!(
            is_done(&store, dropped).await,
            "{dropped} before {newcomer}"
        );
        hold(&store, newcomer).await;
        assert!(
            !is_done(&store, dropped).await,
            "{dropped} after {newcomer}"
        );
        assert_eq!(store.len(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_store_drops_done_entries_before_released_ones_and_the_oldest_of_those_first() {
    let store = MemoryStore::with_capacity(3);
    for number in [1, 2] {
        let held = hold(&store, number).await;
        let settled = store.release(&slot(number), &held).await;
        assert_eq!(settled, Ok(Settled::Applied));
    }
    done(&store, 3, DAY).await;
    hold(&store, 4).await;
    assert!(!is_done(&store, 3).await);
    hold(&store, 5).await;
    assert_eq!(hold(&store, 2).await.attempt(), 2, "the younger was kept");
}

#[tokio::test(start_paused = true)]
async fn a_store_whose_entries_are_all_held_says_that_it_is_full() {
    let store = MemoryStore::with_capacity(3);
    let mut held = Vec::new();
    for number in 0..3 {
        held.push(hold(&store, number).await);
    }
    let refused = store.claim(&slot(9), owner(9), LEASE).await;
    assert_eq!(refused, Err(StoreFull));
    // Also after their leases: their owners may still come.
    advance(2 * LEASE).await;
    assert_eq!(store.claim(&slot(9), owner(9), LEASE).await, Err(StoreFull));
    assert_eq!(hold(&store, 0).await, held[0]);

    let settled = store.release(&slot(1), &held[1]).await;
    assert_eq!(settled, Ok(Settled::Applied));
    hold(&store, 9).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_goes_away_as_claims_come() {
    let store = MemoryStore::with_capacity(10_000);
    for number in 0..3000 {
        match number % 3 {
            0 => done(&store, number, Duration::from_secs(60)).await,
            1 => drop(hold(&store, number).await),
            _ => {
                let held = hold(&store, number).await;
                let _ = store.release(&slot(number), &held).await;
            }
        }
    }
    assert_eq!(store.len(), 3000);
    advance(KEEP_FENCE + LEASE).await;
    for number in 10_000..11_000 {
        done(&store, number, Duration::from_millis(1)).await;
        advance(Duration::from_millis(2)).await;
    }
    assert!(store.len() < 10, "{} entries", store.len());
}

#[tokio::test(start_paused = true)]
async fn an_idle_slot_keeps_its_fence_for_an_hour() {
    let store = MemoryStore::default();
    let released = hold(&store, 1).await;
    let settled = store.release(&slot(1), &released).await;
    assert_eq!(settled, Ok(Settled::Applied));
    let ended = hold(&store, 2).await;
    for _ in 0..59 {
        advance(Duration::from_secs(60)).await;
        done(&store, 1 << 32, Duration::from_secs(1)).await;
    }
    for before in [(1, released), (2, ended)] {
        let claim = store.claim(&slot(before.0), owner(77), LEASE).await;
        let Ok(Claim::Granted(next)) = claim else {
            panic!("{claim:?}");
        };
        assert!(next.fence() > before.1.fence(), "{next:?} after {before:?}");
        assert_eq!(next.attempt(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn every_capacity_and_every_span_is_taken() {
    for capacity in [0, 1, 2, 6_784, 6_785, 1 << 32, usize::MAX - 1, usize::MAX] {
        let store = MemoryStore::with_capacity(capacity);
        let spans = [
            Duration::ZERO,
            Duration::from_nanos(1),
            LEASE,
            Duration::MAX,
        ];
        for (number, lease) in (0..).zip(spans) {
            for retain in spans {
                let (slot, owner) = (slot(number), owner(number));
                let Ok(Claim::Granted(held)) = store.claim(&slot, owner, lease).await else {
                    panic!("capacity {capacity}, {lease:?}");
                };
                let renewed = store.renew(&slot, &held, lease).await;
                assert_eq!(renewed, Ok(Settled::Applied));
                let settled = store.commit(&slot, &held, &Record::EMPTY, retain).await;
                assert_eq!(settled, Ok(Settled::Applied));
                let kept = store.peek(&slot).await.unwrap();
                assert_eq!(kept.is_some(), retain > Duration::ZERO, "{retain:?}");
                advance(LEASE).await;
            }
        }
        // The last span was for ever.
        advance(Duration::from_secs(10 * 365 * 24 * 3600)).await;
        assert!(is_done(&store, 3).await, "capacity {capacity}");
        assert!(store.len() <= capacity.max(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_of_many_shards_takes_as_many_slots_as_were_asked_for_and_drops_the_first_to_end() {
    let count = 30_000;
    let store = MemoryStore::with_capacity(30_000);
    let retain = |number: u64| DAY + Duration::from_secs(number * 7919 % count);
    for number in 0..count {
        done(&store, number, retain(number)).await;
    }
    assert_eq!(store.len(), 30_000);
    for newcomer in count..count + 300 {
        hold(&store, newcomer).await;
    }
    assert_eq!(store.len(), 30_000);
    for number in 0..count {
        let is_first = retain(number) < DAY + Duration::from_secs(300);
        assert_eq!(is_done(&store, number).await, !is_first, "slot {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_abandoned_for_an_hour_makes_room_wherever_it_is() {
    let store = MemoryStore::with_capacity(20_000);
    let _first = hold(&store, 0).await;
    advance(LEASE).await;
    for number in 1..20_000 {
        hold(&store, number).await;
    }
    let newcomer = slot(1 << 40);
    let refused = store.claim(&newcomer, owner(9), LEASE).await;
    assert_eq!(refused, Err(StoreFull));
    advance(KEEP_FENCE - LEASE).await;
    let claim = store.claim(&newcomer, owner(9), LEASE).await;
    assert!(matches!(claim, Ok(Claim::Granted(_))), "{claim:?}");
    let refused = store.claim(&slot(1 << 41), owner(9), LEASE).await;
    assert_eq!(refused, Err(StoreFull));
}

/// What the laws say about one slot, written down without any thought of speed.
#[derive(Clone, Copy)]
enum Model {
    Idle {
        last: Held,
        changed: Instant,
        held_until: Option<Instant>,
    },
    Done {
        until: Instant,
        record: Record,
    },
}

impl Model {
    fn forgotten(&self, now: Instant) -> bool {
        match *self {
            Self::Idle { changed, .. } => changed + KEEP_FENCE <= now,
            Self::Done { until, .. } => until <= now,
        }
    }
}

/// 20,000 random operations of five owners on 60 slots; the store may forget what has ended, and
/// nothing else.
#[tokio::test(start_paused = true)]
async fn the_store_does_what_the_model_does() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let store = MemoryStore::with_capacity(1000);
    let mut model: HashMap<SlotKey, Model> = HashMap::new();
    let mut granted: HashMap<SlotKey, Vec<Held>> = HashMap::new();
    for step in 0..20_000 {
        let pause = [0, 1, 100, 2000, 30_000, 300_000][random.usize(0..6)];
        advance(Duration::from_millis(pause)).await;
        let now = Instant::now();
        let key = slot(random.u64(0..60));
        let known = model
            .get(&key)
            .copied()
            .filter(|known| !known.forgotten(now));
        if let Some(Model::Done { record, .. }) = known {
            assert_eq!(store.peek(&key).await, Ok(Some(record)), "step {step}");
        } else {
            assert_eq!(store.peek(&key).await, Ok(None), "step {step}");
        }
        let any = granted
            .get(&key)
            .and_then(|all| random.choice(all))
            .copied();
        let (action, Some(mine)) = (random.u8(0..5), any) else {
            let who = owner(random.u64(0..5));
            let claim = store.claim(&key, who, LEASE).await.unwrap();
            if let Claim::Granted(held) = claim {
                granted.entry(key).or_default().push(held);
            }
            check_claim(&mut model, key, known, who, claim, now, step);
            continue;
        };
        let is_mine = match known {
            Some(Model::Idle {
                last,
                held_until: Some(_),
                ..
            }) => last.owner() == mine.owner() && last.fence() == mine.fence(),
            _ => false,
        };
        let last = Model::Idle {
            last: mine,
            changed: now,
            held_until: Some(now + LEASE),
        };
        let free = Model::Idle {
            last: mine,
            changed: now,
            held_until: None,
        };
        match action {
            0 | 1 => {
                let who = owner(random.u64(0..5));
                let claim = store.claim(&key, who, LEASE).await.unwrap();
                if let Claim::Granted(held) = claim {
                    granted.entry(key).or_default().push(held);
                }
                check_claim(&mut model, key, known, who, claim, now, step);
            }
            // What is forgotten may be kept: then the answer to an old holder is free.
            _ if known.is_none() => {}
            2 => settle(
                &mut model,
                key,
                store.renew(&key, &mine, LEASE).await,
                is_mine,
                last,
                step,
            ),
            3 => settle(
                &mut model,
                key,
                store.release(&key, &mine).await,
                is_mine,
                free,
                step,
            ),
            _ => {
                let record = Record::try_from(&[random.u8(..)][..]).unwrap();
                let retain = Duration::from_secs(random.u64(1..2000));
                let settled = store.commit(&key, &mine, &record, retain).await;
                if matches!(known, Some(Model::Done { .. })) {
                    continue; // applied for who made it, lost for others; the peek shows the rest
                }
                let until = now + retain;
                settle(
                    &mut model,
                    key,
                    settled,
                    is_mine,
                    Model::Done { until, record },
                    step,
                );
            }
        }
    }
}

fn check_claim(
    model: &mut HashMap<SlotKey, Model>,
    key: SlotKey,
    known: Option<Model>,
    who: Owner,
    claim: Claim,
    now: Instant,
    step: u32,
) {
    match (known, &claim) {
        (Some(Model::Done { record, .. }), claim) => {
            assert_eq!(*claim, Claim::Done(record), "step {step}");
            return;
        }
        (None, Claim::Granted(held)) => assert!(held.fence() > 0 && held.attempt() > 0),
        (
            Some(Model::Idle {
                last, held_until, ..
            }),
            claim,
        ) => {
            let held = held_until.is_some_and(|until| until > now);
            let again = held_until.is_some() && last.owner() == who;
            match claim {
                Claim::Granted(next) if again => assert_eq!(*next, last, "step {step}"),
                Claim::Granted(next) => {
                    assert!(!held, "step {step}: granted while held");
                    assert_eq!(next.fence(), last.fence() + 1, "step {step}");
                    assert_eq!(next.attempt(), last.attempt() + 1, "step {step}");
                }
                Claim::InFlight { remaining } => {
                    assert!(
                        held && !again,
                        "step {step}: in flight, held by nobody else"
                    );
                    assert_eq!(held_until, Some(now + *remaining), "step {step}");
                }
                Claim::Done(_) => panic!("step {step}: never committed"),
            }
        }
        (None, other) => panic!("step {step}: free, was {other:?}"),
    }
    if let Claim::Granted(last) = claim {
        let held_until = Some(now + LEASE);
        model.insert(
            key,
            Model::Idle {
                last,
                changed: now,
                held_until,
            },
        );
    }
}

fn settle(
    model: &mut HashMap<SlotKey, Model>,
    key: SlotKey,
    settled: Result<Settled, StoreFull>,
    is_mine: bool,
    next: Model,
    step: u32,
) {
    let must = if is_mine {
        Settled::Applied
    } else {
        Settled::Lost
    };
    assert_eq!(settled, Ok(must), "step {step}");
    if let (true, Some(Model::Idle { last, .. })) = (is_mine, model.get(&key).copied()) {
        let next = match next {
            Model::Idle {
                changed,
                held_until,
                ..
            } => Model::Idle {
                last,
                changed,
                held_until,
            },
            done => done,
        };
        model.insert(key, next);
    }
}
