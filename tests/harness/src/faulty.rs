//! A store that fails as it is told, and a stranger that claims on it as another process would.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, pending},
    sync::{Arc, Mutex},
    time::Duration,
};

use suno_callback::store::{Claim, DedupStore, Held, MemoryStore, Owner, Record, Settled, SlotKey};
use tokio::time::{Instant, sleep};
use tower::BoxError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Peek,
    Claim,
    Renew,
    Commit,
    Release,
}

impl Op {
    pub const ALL: [Self; 5] = [
        Self::Peek,
        Self::Claim,
        Self::Renew,
        Self::Commit,
        Self::Release,
    ];
}

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
pub struct Faulty<D = MemoryStore> {
    pub store: Arc<D>,
    script: Arc<Mutex<Script>>,
}

impl Default for Faulty {
    fn default() -> Self {
        Self::to(MemoryStore::default())
    }
}

impl<D> Clone for Faulty<D> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            script: Arc::clone(&self.script),
        }
    }
}

#[derive(Default)]
struct Script {
    next: [VecDeque<Fault>; 5],
    rest: [Fault; 5],
    chaos: Option<(fastrand::Rng, [u8; 5])>,
    calls: Vec<Call>,
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

impl<D> Faulty<D> {
    /// A line to `store`.
    pub fn to(store: D) -> Self {
        Self {
            store: Arc::new(store),
            script: Arc::default(),
        }
    }

    /// The same entries behind a line of its own: what another process has.
    pub fn another_line(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            script: Arc::default(),
        }
    }

    /// The next operations of this kind meet these faults, one each.
    pub fn next(&self, op: Op, faults: impl IntoIterator<Item = Fault>) {
        self.script.lock().unwrap().next[op as usize].extend(faults);
    }

    /// All operations of this kind meet `fault`, after those of [`Faulty::next`].
    pub fn always(&self, op: Op, fault: Fault) {
        self.script.lock().unwrap().rest[op as usize] = fault;
    }

    pub fn always_all(&self, fault: Fault) {
        self.script.lock().unwrap().rest = [fault; 5];
    }

    /// Operations of each kind meet any fault, so many times of a hundred.
    pub fn chaos(&self, rng: fastrand::Rng, percent: [u8; 5]) {
        self.script.lock().unwrap().chaos = Some((rng, percent));
    }

    pub fn heal(&self) {
        let mut script = self.script.lock().unwrap();
        script.next = Default::default();
        script.rest = Default::default();
        script.chaos = None;
    }

    pub fn calls(&self) -> Vec<Call> {
        self.script.lock().unwrap().calls.clone()
    }

    pub fn count(&self, op: Op) -> usize {
        let script = self.script.lock().unwrap();
        script.calls.iter().filter(|call| call.op == op).count()
    }

    fn fault(&self, op: Op) -> Fault {
        let mut script = self.script.lock().unwrap();
        let fault = script.next[op as usize].pop_front();
        let fault = fault.unwrap_or(script.rest[op as usize]);
        let chaos = script.chaos.as_mut();
        let chaos = chaos.and_then(|(rng, percent)| {
            let strikes = rng.u8(0..100) < percent[op as usize];
            strikes.then(|| any_fault(rng))
        });
        let fault = chaos.unwrap_or(fault);
        let at = Instant::now();
        script.calls.push(Call { op, at, fault });
        fault
    }

    async fn meet<T, E: Into<BoxError>>(
        &self,
        op: Op,
        apply: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, BoxError> {
        let apply = async { apply.await.map_err(Into::into) };
        match self.fault(op) {
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

#[deny(clippy::missing_trait_methods)]
impl<D: DedupStore> DedupStore for Faulty<D> {
    type Error = BoxError;

    async fn peek(&self, slot: &SlotKey) -> Result<Option<Record>, BoxError> {
        let (store, slot) = (Arc::clone(&self.store), *slot);
        self.meet(Op::Peek, async move { store.peek(&slot).await })
            .await
    }

    async fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, BoxError> {
        let (store, slot) = (Arc::clone(&self.store), *slot);
        let apply = async move { store.claim(&slot, owner, lease).await };
        self.meet(Op::Claim, apply).await
    }

    async fn renew(
        &self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> Result<Settled, BoxError> {
        let (store, slot, held) = (Arc::clone(&self.store), *slot, *held);
        let apply = async move { store.renew(&slot, &held, lease).await };
        self.meet(Op::Renew, apply).await
    }

    async fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Result<Settled, BoxError> {
        let (store, slot, held, record) = (Arc::clone(&self.store), *slot, *held, *record);
        let apply = async move { store.commit(&slot, &held, &record, retain).await };
        self.meet(Op::Commit, apply).await
    }

    async fn release(&self, slot: &SlotKey, held: &Held) -> Result<Settled, BoxError> {
        let (store, slot, held) = (Arc::clone(&self.store), *slot, *held);
        let apply = async move { store.release(&slot, &held).await };
        self.meet(Op::Release, apply).await
    }

    fn retention(&self) -> Duration {
        self.store.retention()
    }

    /// Meets what a claim meets.
    async fn check(&self) -> Result<(), BoxError> {
        let store = Arc::clone(&self.store);
        self.meet(Op::Claim, async move { store.check().await })
            .await
    }

    fn set_operation_timeout(&self, timeout: Duration) {
        self.store.set_operation_timeout(timeout);
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
            store: Arc::clone(&store.store),
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
