//! Random schedules of two processes on one store: peers that leave, a store that fails, handlers
//! that fail, holders that died. What must hold holds in each of them.
//!
//! The seed decides everything but the jitter of pauses.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use harness::{
    Callback, Handler, Receiver, Reply, answer,
    counts::SCHEDULES,
    faulty::{Fault, Faults as _, Faulty, Op, Stranger},
    key, ms, said, secs, seed, slot_of, until,
};
use http::{Request, StatusCode};
use suno_callback::{Delivery, Disposition, Drain, SunoCallbackLayer, store::Record};
use tokio::{
    runtime::{Builder, Handle},
    time::{Instant, sleep, timeout},
};
use tower::{Layer, Service};

const EVENTS: usize = 3;

/// What happened to one event.
#[derive(Default)]
struct History {
    fences: Vec<i64>,
    running: usize,
    most_running: usize,
    successes: usize,
    acknowledged: usize,
    acknowledged_for_nothing: usize,
}

type Histories = Arc<Vec<Mutex<History>>>;

struct Process {
    store: Faulty,
    receiver: Receiver<Faulty>,
    drain: Drain,
}

/// How bad it gets.
#[derive(Clone, Copy, Debug)]
struct Weather {
    /// Of a hundred operations: peek, claim, renew, commit, release.
    faults: [u8; 5],
    errors: u8,
    panics: u8,
    drops: u8,
    died: u8,
    longest: u64,
}

impl Weather {
    fn any(rng: &mut fastrand::Rng) -> Self {
        let level = |rng: &mut fastrand::Rng| [0, 10, 40][rng.usize(0..3)];
        let mut faults = [0; 5].map(|_| level(rng));
        if rng.bool() {
            // The holder never loses its claim, and no commit is in doubt.
            faults[Op::Renew as usize] = 0;
            faults[Op::Commit as usize] = 0;
        }
        Self {
            faults,
            errors: level(rng),
            panics: level(rng) / 2,
            drops: level(rng),
            died: level(rng),
            longest: [10, 3000, 20_000][rng.usize(0..3)],
        }
    }
}

/// A handler that fails and dawdles as the weather wants.
fn handler(weather: Weather, rng: fastrand::Rng, histories: Histories) -> Handler {
    let rng = Arc::new(Mutex::new(rng));
    Handler::new(tower::service_fn(move |request: Request<_>| {
        let mut rng = rng.lock().unwrap().fork();
        let event: suno_callback::VoiceEvent = request.extensions().get().cloned().unwrap();
        let delivery: Delivery = request.extensions().get().cloned().unwrap();
        let histories = Arc::clone(&histories);
        let n: usize = event.task_id().as_str().parse().unwrap();
        async move {
            {
                let mut history = histories[n].lock().unwrap();
                history.fences.push(delivery.fence());
                history.running += 1;
                history.most_running = history.most_running.max(history.running);
            }
            let _running = Running(Arc::clone(&histories), n);
            sleep(ms(rng.u64(0..weather.longest))).await;
            let luck = rng.u8(0..100);
            if luck < weather.panics {
                std::panic::resume_unwind(Box::new("bad luck"));
            }
            if luck < weather.panics + weather.errors {
                return Ok(answer(StatusCode::BAD_GATEWAY));
            }
            histories[n].lock().unwrap().successes += 1;
            Ok(answer(StatusCode::OK))
        }
    }))
}

struct Running(Histories, usize);

impl Drop for Running {
    fn drop(&mut self) {
        self.0[self.1].lock().unwrap().running -= 1;
    }
}

/// One try of the provider; `None` when the connection broke.
async fn one_try(
    process: &Process,
    callback: &Callback,
    weather: Weather,
    rng: &mut fastrand::Rng,
) -> Option<Reply> {
    let call = process.receiver.clone().call(callback.request());
    let start = Instant::now();
    let reply = match rng.u8(0..100) < weather.drops {
        true => timeout(ms(rng.u64(0..14_000)), call).await.ok(),
        false => Some(call.await),
    };
    assert!(start.elapsed() <= ms(13_010), "{:?}", start.elapsed());
    reply.map(Result::unwrap)
}

/// The provider, with its rules: one try and three more, and only 200 counts.
async fn provide(
    n: usize,
    processes: Arc<[Process; 2]>,
    weather: Weather,
    mut rng: fastrand::Rng,
    histories: Histories,
) {
    let callback = Callback::success(&n.to_string(), "voice");
    let backoff = ms([0, 1000, 5000, 60_000][rng.usize(0..4)]);
    sleep(ms(rng.u64(0..3000))).await;
    for _ in 0..4 {
        let process = &processes[rng.usize(0..2)];
        let reply = one_try(process, &callback, weather, &mut rng).await;
        if reply.is_some_and(|reply| reply.status() == StatusCode::OK) {
            let mut history = histories[n].lock().unwrap();
            history.acknowledged += 1;
            history.acknowledged_for_nothing += usize::from(history.successes == 0);
            // Sometimes the answer does not arrive.
            if rng.u8(0..10) > 0 {
                return;
            }
        }
        sleep(backoff).await;
    }
}

/// Looks at the store all the time: what is done stays done.
async fn watch(store: Faulty, callbacks: Vec<Callback>) {
    let stranger = Stranger::on(&store);
    let mut slots = Vec::new();
    for callback in &callbacks {
        slots.push(slot_of(callback).await);
    }
    let mut known: Vec<Option<Record>> = vec![None; slots.len()];
    loop {
        for (slot, known) in slots.iter().zip(&mut known) {
            let record = stranger.peek(slot).await;
            assert!(known.is_none() || record == *known, "a done slot changed");
            *known = record;
        }
        sleep(secs(2)).await;
    }
}

async fn play(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let weather = Weather::any(&mut rng);
    let store = Faulty::default();
    let histories: Histories = Arc::new((0..EVENTS).map(|_| Mutex::default()).collect());
    let callbacks: Vec<_> = (0..EVENTS)
        .map(|n| Callback::success(&n.to_string(), "voice"))
        .collect();
    let processes: Arc<[Process; 2]> = Arc::new([(); 2].map(|()| {
        let line = store.another_line();
        line.chaos(rng.fork(), weather.faults);
        let layer = SunoCallbackLayer::new(key(), line.clone());
        Process {
            store: line,
            drain: layer.drain(),
            receiver: layer.layer(handler(weather, rng.fork(), Arc::clone(&histories))),
        }
    }));
    for callback in &callbacks {
        if rng.u8(0..100) < weather.died {
            Stranger::on(&store)
                .hold(&slot_of(callback).await, secs(5))
                .await;
        }
    }
    let watching = tokio::spawn(watch(store.clone(), callbacks.clone()));
    let providers: Vec<_> = (0..EVENTS)
        .map(|n| {
            let (processes, histories) = (Arc::clone(&processes), Arc::clone(&histories));
            tokio::spawn(provide(n, processes, weather, rng.fork(), histories))
        })
        .collect();
    for provider in providers {
        provider.await.unwrap();
    }
    // Everything that was detached ends, commits that were put off included.
    let idle = || processes.iter().all(|process| process.drain.active() == 0);
    timeout(secs(1300), async {
        while !idle() {
            sleep(secs(1)).await;
        }
    })
    .await
    .expect("something never ends");
    check(weather, &processes, &histories);
    recover(&processes, &callbacks, &histories).await;
    watching.abort();
    assert!(watching.await.unwrap_err().is_cancelled());
    until("no task is left", || {
        Handle::current().metrics().num_alive_tasks() == 0
    })
    .await;
}

fn check(weather: Weather, processes: &[Process; 2], histories: &Histories) {
    let doubts: usize = processes.iter().map(|process| doubts(&process.store)).sum();
    for history in histories.iter() {
        let history = history.lock().unwrap();
        assert_eq!(
            history.acknowledged_for_nothing, 0,
            "acknowledged and not handled"
        );
        assert!(
            history.successes <= 1 + doubts,
            "{} runs with {doubts} excuses, {weather:?}",
            history.successes
        );
        assert!(doubts > 0 || history.most_running <= 1, "two at a time");
        let grows = history.fences.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(grows, "{:?}", history.fences);
        assert_eq!(history.running, 0);
    }
}

/// What may cost a claim or a commit.
fn doubts(store: &Faulty) -> usize {
    let calls = store.calls();
    let counts = |op| matches!(op, Op::Renew | Op::Commit);
    let met = calls
        .iter()
        .filter(|call| counts(call.op) && call.fault != Fault::None);
    met.count()
}

/// In good weather whoever asks again is answered 200, by an event that is done or by its handler.
async fn recover(processes: &[Process; 2], callbacks: &[Callback], histories: &Histories) {
    for process in processes {
        process.store.heal();
    }
    for (callback, history) in callbacks.iter().zip(histories.iter()) {
        let before = history.lock().unwrap().successes;
        let mut replies = 0;
        loop {
            let reply = harness::send(&processes[replies % 2].receiver, callback).await;
            let more = history.lock().unwrap().successes - before;
            // Its own handler, or one that outlasted an earlier try.
            let is_new = said(&reply) == Some(Disposition::Accepted);
            assert!(more <= 1 && (!is_new || more == 1), "handled again");
            if reply.status() == StatusCode::OK {
                break;
            }
            replies += 1;
            assert!(replies < 40, "never done");
        }
    }
}

#[test]
fn what_is_acknowledged_was_handled_and_what_is_done_is_handled_no_more() {
    let first = seed();
    let played = AtomicUsize::new(0);
    for seed in (0..SCHEDULES.get()).map(|n| first.wrapping_add(n)) {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let play = || runtime.block_on(play(seed));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(play));
        if let Err(panic) = result {
            eprintln!("broken by SEED={seed}");
            std::panic::resume_unwind(panic);
        }
        played.fetch_add(1, SeqCst);
    }
    println!("{} schedules", played.load(SeqCst));
}
