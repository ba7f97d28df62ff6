//! One event in an outage of its store, while a twin of it waits at another replica.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{Request, StatusCode};
use suno_callback::{DedupStore, SunoCallbackLayer, Times, store::SlotKey};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::{Layer, Service};

use crate::{
    Callback, Handler, Receiver, Seen, answer,
    faulty::{Fault, Faults as _, FaultyOver},
    key, ms, secs,
};

/// How a store is away.
pub const KINDS: [(&str, Fault); 4] = [
    ("refused", Fault::Fail),
    ("hung", Fault::Hang),
    ("slow", Fault::Late(ms(1500))),
    ("lost answers", Fault::LoseAnswer),
];

/// When the store goes away: before the claim, at it, while the handler runs, just before, at and
/// after each renewal, at the commit and after it.
pub const MOMENTS: [Duration; 20] = [
    ms(0),
    ms(95),
    ms(100),
    ms(105),
    ms(400),
    ms(795),
    ms(800),
    ms(805),
    ms(1200),
    ms(1495),
    ms(1500),
    ms(1505),
    ms(2600),
    ms(2895),
    ms(2900),
    ms(2905),
    ms(3595),
    ms(3605),
    ms(4095),
    ms(4105),
];

/// The same for the longest heartbeat that goes with the default lease.
pub const SLOW_MOMENTS: [Duration; 20] = [
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

/// That heartbeat: twice it and an operation fit into the lease.
pub const SLOW_BEAT: Duration = ms(1500);

/// For how long.
pub fn lengths() -> impl Iterator<Item = Duration> {
    (0..=32).map(|n| ms(250 * n))
}

/// How long the handler of an event takes.
const HANDLED: Duration = ms(4000);

/// When the first try comes, and its twin.
const FIRST: Duration = ms(100);
pub const TWIN: Duration = ms(200);

/// A commit that was put off comes in meanwhile.
const LATEST_COMMIT: Duration = secs(30);

/// An outage as one event meets it.
#[derive(Clone, Copy)]
pub struct Outage {
    /// Of [`KINDS`].
    pub kind: usize,
    pub moment: Duration,
    pub away: Duration,
    /// When the twin comes.
    pub twin: Duration,
    /// How often a lease is renewed.
    pub heartbeat: Duration,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            moment,
            away,
            twin,
            heartbeat,
        } = self;
        let kind = KINDS[*kind].0;
        write!(
            f,
            "{kind} for {away:?} at {moment:?}, twin at {twin:?}, renewed each {heartbeat:?}"
        )
    }
}

/// What became of one event.
pub struct Fate {
    pub is_lost: bool,
    /// How often its handler began.
    pub runs: usize,
    pub tries: usize,
    /// How long the store was away by the clock: a busy machine sleeps too long.
    pub away: Duration,
}

impl Outage {
    /// Every one with the twin at [`TWIN`] and the default heartbeat.
    pub fn all() -> Vec<Self> {
        Self::at(Times::default().heartbeat, MOMENTS)
    }

    /// The same with the longest.
    pub fn all_slow() -> Vec<Self> {
        Self::at(SLOW_BEAT, SLOW_MOMENTS)
    }

    fn at(heartbeat: Duration, moments: [Duration; 20]) -> Vec<Self> {
        let moments = |kind, away| {
            moments.map(|moment| Self {
                kind,
                moment,
                away,
                twin: TWIN,
                heartbeat,
            })
        };
        let of_kind = |kind| lengths().flat_map(move |away| moments(kind, away));
        (0..KINDS.len()).flat_map(of_kind).collect()
    }

    /// Plays it on `store`, over lines of its own.
    pub async fn play<D: DedupStore>(&self, store: &FaultyOver<D>, task: &str) -> Fate {
        let (seen, successes) = (Seen::default(), Arc::default());
        let replicas = [(); 2].map(|()| Replica::new(store, &seen, &successes, self.heartbeat));
        let callback = Callback::success(task, "voice");
        let start = Instant::now();
        let (away, first, second) = tokio::join!(
            self.happen(start, &replicas),
            replicas[0].provide(&callback, start + FIRST),
            replicas[1].provide(&callback, start + self.twin),
        );
        if let Some((_, delivery)) = seen.all().first() {
            committed(store.inner().as_ref(), delivery.slot()).await;
        }
        let again = replicas[1].provide(&callback, Instant::now()).await;
        let is_taken = first.is_some() && second.is_some() && again.is_some();
        Fate {
            is_lost: !is_taken || successes.load(SeqCst) == 0,
            runs: seen.len(),
            tries: first.unwrap_or(4),
            away,
        }
    }

    /// Says how long it took.
    async fn happen<D: DedupStore>(&self, start: Instant, replicas: &[Replica<D>]) -> Duration {
        sleep_until(start + self.moment).await;
        let began = Instant::now();
        let lines = || replicas.iter().map(|it| &it.line);
        if !self.away.is_zero() {
            lines().for_each(|it| it.always_all(KINDS[self.kind].1));
        }
        sleep(self.away).await;
        lines().for_each(FaultyOver::heal);
        began.elapsed()
    }
}

async fn committed(store: &impl DedupStore, slot: &SlotKey) {
    let end = Instant::now() + LATEST_COMMIT;
    while !matches!(store.peek(slot).await, Ok(Some(_))) && Instant::now() < end {
        sleep(ms(100)).await;
    }
}

struct Replica<D> {
    receiver: Receiver<FaultyOver<D>>,
    line: FaultyOver<D>,
}

impl<D: DedupStore> Replica<D> {
    fn new(
        store: &FaultyOver<D>,
        seen: &Seen,
        successes: &Arc<AtomicUsize>,
        heartbeat: Duration,
    ) -> Self {
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
        let times = Times {
            heartbeat,
            ..Times::default()
        };
        let layer = SunoCallbackLayer::new(key(), line.clone());
        let layer = layer.times(times).unwrap();
        Self {
            receiver: layer.layer(handler),
            line,
        }
    }

    /// The provider: four tries of 15 seconds. How many it took.
    async fn provide(&self, callback: &Callback, at: Instant) -> Option<usize> {
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

/// What became of events, by the length and the kind of their outages.
#[derive(Default)]
pub struct Table(BTreeMap<Duration, [Cell; 4]>);

#[derive(Clone, Copy, Default)]
struct Cell {
    events: usize,
    twice: usize,
    refused: usize,
}

impl Table {
    pub fn add(&mut self, outage: &Outage, fate: &Fate) {
        let cell = &mut self.0.entry(outage.away).or_default()[outage.kind];
        cell.events += 1;
        cell.twice += usize::from(fate.runs > 1);
        cell.refused += usize::from(fate.tries > 1);
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.events {
            0 => f.write_str("-"),
            events => write!(f, "{} / {} / {events}", self.twice, self.refused),
        }
    }
}

/// Each cell: run twice / first tries refused / events.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| away | {} |", KINDS.map(|it| it.0).join(" | "))?;
        for (away, row) in &self.0 {
            let cells = row.map(|it| it.to_string());
            writeln!(f, "| {away:?} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}
