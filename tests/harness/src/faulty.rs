//! A store that fails as it is told, and a stranger that claims on it as another process would.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, pending},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

pub use suno_callback::testkit::Operation as Op;
use suno_callback::{
    store::{Claim, DedupStore, Held, MemoryStore, Owner, Record, Settled, SlotKey},
    testkit::{Intercept, Intercepted},
};
use tokio::time::{Instant, sleep};
use tower::BoxError;

/// What a [`Faulty`] store can be told to do badly. A check meets what a claim meets.
pub const OPS: [Op; 5] = [Op::Peek, Op::Claim, Op::Renew, Op::Commit, Op::Release];

/// What happens to one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Not applied, and an error.
    Fail,
    /// Not applied, and no answer ever.
    Hang,
    /// Applied at once, answered later.
    Slow(Duration),
    /// Applied later than its answer may take: a dropped one is not applied.
    Late(Duration),
    /// Applied, and answered with an error.
    LoseAnswer,
    /// Applied, and no answer ever.
    HangApplied,
    /// Not applied, and a panic.
    Panic,
    /// No answer ever, and applied later even when nobody waits any more.
    Ghost(Duration),
}

/// An operation that a [`Faulty`] store was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub op: Op,
    pub at: Instant,
    pub fault: Fault,
}

/// A store behind a bad line. Clones share everything.
pub type Faulty = FaultyOver<MemoryStore>;

pub type FaultyOver<D> = Intercepted<D, Line>;

/// Does what its script says.
#[derive(Default)]
pub struct Line(Mutex<Script>);

#[derive(Default)]
pub struct Script {
    next: [VecDeque<Fault>; 5],
    rest: [Fault; 5],
    chaos: Option<(fastrand::Rng, [u8; 5])>,
    calls: Vec<Call>,
}

/// What a test tells a [`Faulty`] store.
pub trait Faults: Sized {
    fn script(&self) -> MutexGuard<'_, Script>;

    /// The same entries behind a line of its own: what another process has.
    fn another_line(&self) -> Self;

    /// The next operations of this kind meet these faults, one each.
    fn next(&self, op: Op, faults: impl IntoIterator<Item = Fault>) {
        self.script().next[op as usize].extend(faults);
    }

    /// All operations of this kind meet `fault`, after those of [`Faults::next`].
    fn always(&self, op: Op, fault: Fault) {
        self.script().rest[op as usize] = fault;
    }

    fn always_all(&self, fault: Fault) {
        self.script().rest = [fault; 5];
    }

    /// Operations of each kind meet any fault, so many times of a hundred.
    fn chaos(&self, rng: fastrand::Rng, percent: [u8; 5]) {
        self.script().chaos = Some((rng, percent));
    }

    fn heal(&self) {
        let mut script = self.script();
        script.next = Default::default();
        script.rest = Default::default();
        script.chaos = None;
    }

    fn calls(&self) -> Vec<Call> {
        self.script().calls.clone()
    }

    fn count(&self, op: Op) -> usize {
        let script = self.script();
        script.calls.iter().filter(|call| call.op == op).count()
    }
}

impl<D> Faults for FaultyOver<D> {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.interceptor().0.lock().unwrap()
    }

    fn another_line(&self) -> Self {
        self.with(Line::default())
    }
}

/// What a [`Faulty`] store answers when it is told to fail.
#[derive(Debug)]
pub struct Injected;

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("injected")
    }
}

impl std::error::Error for Injected {}

impl Script {
    fn fault(&mut self, op: Op) -> Fault {
        let fault = self.next[op as usize].pop_front();
        let fault = fault.unwrap_or(self.rest[op as usize]);
        let chaos = self.chaos.as_mut();
        let chaos = chaos.and_then(|(rng, percent)| {
            let strikes = rng.u8(0..100) < percent[op as usize];
            strikes.then(|| any_fault(rng))
        });
        let fault = chaos.unwrap_or(fault);
        let at = Instant::now();
        self.calls.push(Call { op, at, fault });
        fault
    }
}

impl Intercept for Line {
    async fn intercept<T: Send + 'static>(
        &self,
        operation: Op,
        apply: impl Future<Output = Result<T, BoxError>> + Send + 'static,
    ) -> Result<T, BoxError> {
        let op = match operation {
            Op::Check => Op::Claim,
            other => other,
        };
        let fault = self.0.lock().unwrap().fault(op);
        match fault {
            Fault::None => apply.await,
            Fault::Fail => Err(Injected.into()),
            Fault::Hang => pending().await,
            Fault::Panic => panic!("a rotten store"),
            Fault::Slow(delay) => {
                let answer = apply.await?;
                sleep(delay).await;
                Ok(answer)
            }
            Fault::Late(delay) => {
                sleep(delay).await;
                apply.await
            }
            Fault::LoseAnswer => {
                apply.await?;
                Err(Injected.into())
            }
            Fault::HangApplied => {
                apply.await?;
                pending().await
            }
            Fault::Ghost(delay) => {
                tokio::spawn(async move {
                    sleep(delay).await;
                    drop(apply.await);
                });
                pending().await
            }
        }
    }
}

pub fn any_fault(rng: &mut fastrand::Rng) -> Fault {
    let delay = Duration::from_millis(rng.u64(1..1500));
    match rng.u8(0..7) {
        0 => Fault::Fail,
        1 => Fault::Hang,
        2 => Fault::Slow(delay),
        3 => Fault::Late(delay),
        4 => Fault::LoseAnswer,
        5 => Fault::HangApplied,
        _ => Fault::Ghost(delay * 5),
    }
}

/// Somebody in another process.
#[derive(Clone)]
pub struct Stranger {
    store: Arc<MemoryStore>,
    owner: Owner,
}

impl Stranger {
    pub fn on(store: &Faulty) -> Self {
        Self {
            store: Arc::clone(store.inner()),
            owner: Owner::from([0xEE; 16]),
        }
    }

    pub async fn claim(&self, slot: &SlotKey, lease: Duration) -> Claim {
        self.store.claim(slot, self.owner, lease).await.unwrap()
    }

    /// Claims what must be free.
    pub async fn hold(&self, slot: &SlotKey, lease: Duration) -> Held {
        match self.claim(slot, lease).await {
            Claim::Granted(held) => held,
            other => panic!("not free: {other:?}"),
        }
    }

    pub async fn commit(&self, slot: &SlotKey, held: &Held, record: &Record) -> Settled {
        let day = Duration::from_secs(24 * 3600);
        self.store.commit(slot, held, record, day).await.unwrap()
    }

    pub async fn release(&self, slot: &SlotKey, held: &Held) -> Settled {
        self.store.release(slot, held).await.unwrap()
    }

    /// The record, when the slot is done.
    pub async fn peek(&self, slot: &SlotKey) -> Option<Record> {
        self.store.peek(slot).await.unwrap()
    }

    /// Whether the slot is held. It must not be free: this would take it.
    pub async fn sees_it_held(&self, slot: &SlotKey) -> bool {
        matches!(
            self.claim(slot, Duration::from_secs(1)).await,
            Claim::InFlight { .. }
        )
    }
}
