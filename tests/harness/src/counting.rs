//! A store that counts what is asked of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use suno_callback::store::{Claim, DedupStore, Held, Owner, Record, Settled, SlotKey};

#[derive(Debug)]
pub struct Counting<D> {
    store: D,
    counts: Counts,
}

/// How often each operation was called. Clones look at the same counters.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    peeks: AtomicUsize,
    claims: AtomicUsize,
    renewals: AtomicUsize,
    commits: AtomicUsize,
    releases: AtomicUsize,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    pub peeks: usize,
    pub claims: usize,
    pub renewals: usize,
    pub commits: usize,
    pub releases: usize,
}

impl<D> Counting<D> {
    pub fn new(store: D) -> Self {
        let counts = Counts::default();
        Self { store, counts }
    }

    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }
}

impl Counts {
    pub fn now(&self) -> Operations {
        Operations {
            peeks: self.0.peeks.load(SeqCst),
            claims: self.0.claims.load(SeqCst),
            renewals: self.0.renewals.load(SeqCst),
            commits: self.0.commits.load(SeqCst),
            releases: self.0.releases.load(SeqCst),
        }
    }

    /// That nobody has asked the store anything.
    pub fn untouched(&self) -> bool {
        self.now() == Operations::default()
    }

    fn count(&self, counter: fn(&Counters) -> &AtomicUsize) {
        counter(&self.0).fetch_add(1, SeqCst);
    }
}

#[deny(clippy::missing_trait_methods)]
impl<D: DedupStore> DedupStore for Counting<D> {
    type Error = D::Error;

    const ANSWERS_AT_ONCE: bool = D::ANSWERS_AT_ONCE;

    async fn peek(&self, slot: &SlotKey) -> Result<Option<Record>, D::Error> {
        self.counts.count(|it| &it.peeks);
        self.store.peek(slot).await
    }

    async fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, D::Error> {
        self.counts.count(|it| &it.claims);
        self.store.claim(slot, owner, lease).await
    }

    async fn renew(
        &self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> Result<Settled, D::Error> {
        self.counts.count(|it| &it.renewals);
        self.store.renew(slot, held, lease).await
    }

    async fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Result<Settled, D::Error> {
        self.counts.count(|it| &it.commits);
        self.store.commit(slot, held, record, retain).await
    }

    async fn release(&self, slot: &SlotKey, held: &Held) -> Result<Settled, D::Error> {
        self.counts.count(|it| &it.releases);
        self.store.release(slot, held).await
    }

    fn retention(&self) -> Duration {
        self.store.retention()
    }

    async fn check(&self) -> Result<(), D::Error> {
        self.store.check().await
    }

    fn set_operation_timeout(&self, timeout: Duration) {
        self.store.set_operation_timeout(timeout);
    }
}
