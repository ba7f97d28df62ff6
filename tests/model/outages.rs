//! The whole table of outages in virtual time: how long the store is away, at which moment of an
//! event, in which way, while a twin waits at another replica.
//!
//! What is shown: no event is lost, and none is handled twice where the outage was shorter than the
//! lease less one operation. What a longer one does is printed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use harness::{
    Callback, Handler, Receiver, Seen, answer,
    faulty::{Fault, Faulty},
    key, ms, secs,
};
use http::{Request, StatusCode};
use suno_callback::{SunoCallbackLayer, Times};
use tokio::{
    runtime::Builder,
    time::{Instant, sleep, sleep_until, timeout},
};
use tower::{Layer, Service};

/// How a store is away.
const KINDS: [(&str, Fault); 4] = [
    ("refused", Fault::Fail),
    ("hung", Fault::Hang),
    ("slow", Fault::Late(ms(1500))),
    ("lost answers", Fault::LoseAnswer),
];

/// How long the handler of an event takes.
const HANDLED: Duration = ms(4000);

/// When the store goes away: before the claim, at it, while the handler runs, just before, at and
/// after each renewal, at the commit and after it.
const MOMENTS: [Duration; 20] = [
    ms(0),
    ms(95),
    ms(100),
    ms(105),
    ms(300),
    ms(700),
    ms(1100),
    ms(1595),
    ms(1600),
    ms(1605),
    ms(2000),
    ms(2600),
    ms(3095),
    ms(3100),
    ms(3105),
    ms(3700),
    ms(4095),
    ms(4100),
    ms(4105),
    ms(4500),
];

/// When the first try comes, and its twin.
const FIRST: Duration = ms(100);
const TWIN: Duration = ms(200);

struct Replica {
    receiver: Receiver<Faulty>,
    line: Faulty,
}

impl Replica {
    fn new(store: &Faulty, seen: &Seen, successes: &Arc<AtomicUsize>) -> Self {
        let (seen, successes) = (seen.clone(), Arc::clone(successes));
        let handler = Handler::new(tower::service_fn(move |request: Request<_>| {
            seen.push(&request);
            let successes = Arc::clone(&successes);
            async move {
                sleep(HANDLED).await;
                successes.fetch_add(1, SeqCst);
                Ok(answer(StatusCode::OK))
            }
        }));
        let line = store.another_line();
        let layer = SunoCallbackLayer::new(key(), line.clone());
        Self {
            receiver: layer.layer(handler),
            line,
        }
    }

    /// The provider: four tries of 15 seconds. How many it took.
    async fn provide(&self, callback: Callback, at: Instant) -> Option<usize> {
        sleep_until(at).await;
        for tries in 1..=4 {
            let call = self.receiver.clone().call(callback.request());
            let reply = timeout(secs(15), call).await;
            if reply.is_ok_and(|reply| reply.unwrap().status() == StatusCode::OK) {
                return Some(tries);
            }
            sleep(secs(5)).await;
        }
        None
    }
}

/// What became of one event.
struct Fate {
    is_lost: bool,
    runs: usize,
    tries: usize,
}

async fn play(fault: Fault, moment: Duration, away: Duration, twin: Duration) -> Fate {
    let store = Faulty::default();
    let (seen, successes) = (Seen::default(), Arc::default());
    let replicas = [(); 2].map(|()| Replica::new(&store, &seen, &successes));
    let start = Instant::now();
    let callback = Callback::success("task", "voice");
    let outage = async {
        sleep_until(start + moment).await;
        let lines = || replicas.iter().map(|it| &it.line);
        if !away.is_zero() {
            lines().for_each(|it| it.always_all(fault));
        }
        sleep(away).await;
        lines().for_each(Faulty::heal);
    };
    let ((), first, second) = tokio::join!(
        outage,
        replicas[0].provide(callback.clone(), start + FIRST),
        replicas[1].provide(callback.clone(), start + twin),
    );
    // A commit that was put off comes in meanwhile.
    sleep(secs(30)).await;
    let again = replicas[1].provide(callback, Instant::now()).await;
    Fate {
        is_lost: first.is_none() || second.is_none() || again.is_none(),
        runs: successes.load(SeqCst),
        tries: first.unwrap_or(4),
    }
}

fn fate(fault: Fault, moment: Duration, away: Duration, twin: Duration) -> Fate {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(play(fault, moment, away, twin))
}

#[test]
fn no_outage_loses_an_event_and_none_that_is_shorter_than_the_lease_less_an_operation_runs_it_twice()
 {
    let times = Times::default();
    let harmless = times.lease - times.store_operation;
    // Twice, of 20 moments; and how many first tries were refused.
    let mut table: BTreeMap<Duration, Vec<(usize, usize)>> = BTreeMap::new();
    for (kind, fault) in KINDS {
        for away in (0..=32).map(|n| ms(250 * n)) {
            let (mut twice, mut refused) = (0, 0);
            for moment in MOMENTS {
                let fate = fate(fault, moment, away, TWIN);
                let what = format!("{kind} for {away:?} at {moment:?}");
                assert!(!fate.is_lost && fate.runs > 0, "lost: {what}");
                assert!(away >= harmless || fate.runs == 1, "ran twice: {what}");
                twice += usize::from(fate.runs > 1);
                refused += usize::from(fate.tries > 1);
            }
            table.entry(away).or_default().push((twice, refused));
        }
    }
    println!("| away | {} |", KINDS.map(|it| it.0).join(" | "));
    for (away, row) in table {
        let cells = row
            .iter()
            .map(|(twice, refused)| format!("{twice} / {refused}"));
        let cells: Vec<_> = cells.collect();
        println!("| {away:?} | {} |", cells.join(" | "));
    }
}
