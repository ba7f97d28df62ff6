//! A day of a provider on a bad network, in virtual time: callbacks are dropped, repeated, late,
//! reordered or forged, polls and handlers fail at random. Every task that reaches an outcome is
//! handed over, none twice, and the API sees no more than the rate.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use harness::{Callback, answer, counts::DAY, key, seed};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use suno_callback::{
    Delivery, MemoryStore, Reconciler, SunoCallbackLayer, TaskId, Trust, VoiceClient, VoiceEvent,
    VoiceOutcome,
    client::{ApiKey, Pace, Unsettled, Watched, Watchlist},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tower::{Layer, Service, ServiceExt};

const WINDOW: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Succeeds,
    Fails,
    Never,
}

/// What the provider will do about one task.
#[derive(Clone, Copy)]
struct Plan {
    fate: Fate,
    submitted: Instant,
    done: Instant,
}

/// What the handler took.
#[derive(Clone, Copy, Default)]
struct Taken {
    outcomes: u8,
    wrong: u8,
}

struct World {
    plans: Vec<Plan>,
    taken: Mutex<Vec<Taken>>,
    rng: Mutex<Rng>,
    /// How many requests the API bears in a window: a third of what everybody would like.
    rate: usize,
    /// The last `rate` requests, and how many there were.
    asked: Mutex<(VecDeque<Instant>, u64)>,
}

impl World {
    fn chance(&self, percent: u32) -> bool {
        self.rng.lock().unwrap().u32(..100) < percent
    }

    fn millis(&self, most: u64) -> Duration {
        Duration::from_millis(self.rng.lock().unwrap().u64(..most))
    }

    fn ask(&self) {
        let now = Instant::now();
        let (last, count) = &mut *self.asked.lock().unwrap();
        *count += 1;
        if last.len() == self.rate {
            let first = last.pop_front().unwrap();
            assert!(
                now - first >= WINDOW,
                "more than {} requests in {WINDOW:?}",
                self.rate
            );
        }
        last.push_back(now);
    }

    fn record(&self, task: usize) -> String {
        let plan = self.plans[task];
        let (status, voice) = match plan.fate {
            _ if Instant::now() < plan.submitted + Duration::from_secs(1) => {
                return r#"{"code":200,"msg":"success","data":null}"#.into();
            }
            _ if Instant::now() < plan.done => ("wait_validating", String::new()),
            Fate::Succeeds => ("success", voice(task)),
            Fate::Fails => ("fail", "fail".into()),
            Fate::Never => ("wait_processing", String::new()),
        };
        format!(
            r#"{{"code":200,"msg":"success","data":{{"taskId":"t-{task}","voiceId":"{voice}","status":"{status}"}}}}"#
        )
    }

    /// An answer that helps nobody, now and then.
    fn mishap(&self) -> Option<(u16, &'static str)> {
        let dice = self.rng.lock().unwrap().u32(..1_000);
        match dice {
            0..50 => Some((503, "")),
            50..80 => Some((200, "<html>")),
            80..100 => Some((200, r#"{"code":455,"msg":"maintenance"}"#)),
            100 => Some((429, "")),
            _ => None,
        }
    }
}

fn voice(task: usize) -> String {
    format!("voice-{task}")
}

fn number(id: &str) -> usize {
    id.trim_start_matches("t-").parse().unwrap()
}

/// The provider's API over the world.
#[derive(Clone)]
struct Api(Arc<World>);

impl Service<Request<Full<Bytes>>> for Api {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let world = Arc::clone(&self.0);
        world.ask();
        let query = request.uri().query().unwrap();
        let task = number(query.strip_prefix("taskId=").unwrap());
        Box::pin(async move {
            sleep(world.millis(200)).await;
            let (status, body) = match world.mishap() {
                Some((status, body)) => (status, body.to_owned()),
                None => (200, world.record(task)),
            };
            let mut response = Response::new(Full::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok(response)
        })
    }
}

/// Takes each outcome, and fails at random.
fn handler(
    world: Arc<World>,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ 'static {
    tower::service_fn(move |request: Request<Full<Bytes>>| {
        let world = Arc::clone(&world);
        async move {
            if world.chance(20) {
                sleep(world.millis(3_000)).await;
            }
            if world.chance(5) {
                return Ok(answer(StatusCode::INTERNAL_SERVER_ERROR));
            }
            let event: &VoiceEvent = request.extensions().get().unwrap();
            let delivery: &Delivery = request.extensions().get().unwrap();
            take(&world, event, delivery.trust());
            Ok(answer(StatusCode::OK))
        }
    })
}

fn take(world: &World, event: &VoiceEvent, trust: Trust) {
    let task = number(event.task_id().as_str());
    let fate = world.plans[task].fate;
    let right = match event.outcome() {
        VoiceOutcome::Ready(id) => fate == Fate::Succeeds && *id == voice(task).as_str(),
        VoiceOutcome::Failed(_) => fate == Fate::Fails,
        _ => return,
    };
    let taken = &mut world.taken.lock().unwrap()[task];
    taken.outcomes += 1;
    taken.wrong += u8::from(!right || trust != Trust::Confirmed);
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Sent {
    Submission,
    Progress,
    Outcome,
    Forgery,
}

/// The whole day, in order.
fn schedule(plans: &[Plan], rng: &mut Rng) -> BinaryHeap<Reverse<(Instant, usize, Sent)>> {
    let mut day = BinaryHeap::new();
    let mut at = |at, task, sent| day.push(Reverse((at, task, sent)));
    for (task, plan) in plans.iter().enumerate() {
        let within = |rng: &mut Rng, seconds: u64| Duration::from_millis(rng.u64(..seconds * 1000));
        at(plan.submitted, task, Sent::Submission);
        if rng.u32(..100) < 10 {
            // Also after the outcome.
            at(plan.submitted + within(rng, 200), task, Sent::Progress);
        }
        if rng.u32(..100) < 15 {
            at(plan.submitted + within(rng, 200), task, Sent::Forgery);
        }
        if plan.fate == Fate::Never {
            continue;
        }
        for _ in 0..[0, 0, 0, 1, 1, 1, 1, 1, 2, 4][rng.usize(..10)] {
            let late = if rng.u32(..100) < 10 { 600 } else { 5 };
            at(plan.done + within(rng, late), task, Sent::Outcome);
        }
    }
    day
}

fn callback(task: usize, sent: &Sent, plan: &Plan, rng: &mut Rng) -> Callback {
    let id = format!("t-{task}");
    match (sent, plan.fate) {
        (Sent::Progress, _) => Callback::progress(&id, "wait_processing"),
        (Sent::Forgery, _) if rng.bool() => Callback::failure(&id),
        (Sent::Forgery, _) => Callback::success(&id, "forged"),
        (_, Fate::Succeeds) => Callback::success(&id, &voice(task)),
        _ => Callback::failure(&id),
    }
}

fn plan(tasks: usize, rng: &mut Rng) -> Vec<Plan> {
    let start = Instant::now();
    let plans = (0..tasks).map(|_| {
        let submitted = start + Duration::from_millis(rng.u64(..300_000));
        Plan {
            fate: match rng.u32(..100) {
                0..75 => Fate::Succeeds,
                75..99 => Fate::Fails,
                _ => Fate::Never,
            },
            submitted,
            done: submitted + Duration::from_millis(rng.u64(5_000..60_000)),
        }
    });
    plans.collect()
}

fn resident_megabytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|it| it.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096 / 1_000_000
}

#[tokio::test(start_paused = true)]
async fn every_outcome_is_handed_over_once_and_the_api_is_spared() {
    let tasks = DAY.size();
    let mut rng = Rng::with_seed(seed());
    let began = Instant::now();
    let plans = plan(tasks, &mut rng);
    let mut day = schedule(&plans, &mut rng);
    let world = Arc::new(World {
        taken: Mutex::new(vec![Taken::default(); tasks]),
        rng: Mutex::new(rng.fork()),
        rate: (tasks / 100).max(10),
        asked: Mutex::default(),
        plans,
    });
    let client = VoiceClient::new(Api(world.clone()), ApiKey::new("key").unwrap())
        .rate(world.rate as u32, WINDOW);
    let pace = Pace {
        patience: Duration::from_secs(900),
        at_once: 512,
        ..Pace::default()
    };
    let watchlist = Watchlist::new(pace).unwrap();
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default()).confirm(client.clone());
    let service = layer.layer(handler(world.clone()));
    let reconciler = Reconciler::new(client, service.clone()).watching(watchlist.clone());
    let reconciling = tokio::spawn(reconciler.run());

    let mut watches = Vec::with_capacity(tasks);
    let mut callbacks = JoinSet::new();
    let mut received = 0_u64;
    while let Some(Reverse((at, task, sent))) = day.pop() {
        sleep_until(at).await;
        while callbacks.try_join_next().is_some() {}
        if sent == Sent::Submission {
            let id = TaskId::new(format!("t-{task}")).unwrap();
            watches.push((task, watchlist.watch(&id)));
            continue;
        }
        received += 1;
        let callback = callback(task, &sent, &world.plans[task], &mut rng);
        let (service, mut rng) = (service.clone(), rng.fork());
        callbacks.spawn(async move {
            // The provider tries three times more, and stops for ever.
            for _ in 0..4 {
                let response = service.clone().oneshot(callback.request()).await.unwrap();
                if response.status() == StatusCode::OK {
                    break;
                }
                sleep(Duration::from_millis(rng.u64(..20_000))).await;
            }
        });
    }
    let mut expired = 0;
    for (task, watch) in watches {
        match (world.plans[task].fate, watch.await) {
            (Fate::Never, Watched::Expired(why)) => {
                let last = [Unsettled::Pending, Unsettled::Unreachable];
                assert!(last.contains(&why), "{task} {why:?}");
                expired += 1;
            }
            (Fate::Never, watched) => panic!("{task} has no outcome: {watched:?}"),
            (_, watched) => assert!(watched.is_delivered(), "{task} {watched:?}"),
        }
    }
    callbacks.join_all().await;
    for (task, taken) in world.taken.lock().unwrap().iter().enumerate() {
        let expected = u8::from(world.plans[task].fate != Fate::Never);
        assert_eq!((taken.outcomes, taken.wrong), (expected, 0), "task {task}");
    }
    layer.drain().close();
    reconciling.await.unwrap();
    assert!(watchlist.is_empty());
    assert_eq!(layer.drain().active(), 0);
    let memory = resident_megabytes();
    let asked = world.asked.lock().unwrap().1;
    println!(
        "{tasks} tasks, {received} callbacks, {asked} questions, {expired} expired, {:?} of virtual time, {memory} MB",
        began.elapsed()
    );
    assert!(memory < 1_000, "{memory} MB");
}
