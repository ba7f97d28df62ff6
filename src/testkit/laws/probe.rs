use std::{fmt::Debug, time::Duration};

use tokio::time::{Instant, sleep};

use super::LawBroken;
use crate::{
    DedupStore,
    store::{Claim, Held, Owner, Record, Settled, SlotKey},
};

/// Ends while a law watches.
pub(super) const SHORT: Duration = Duration::from_millis(100);

/// Does not end while a law watches, on the slowest machine.
pub(super) const LONG: Duration = Duration::from_secs(50);

/// How long a store may take to let a short lease or retention end.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) type Law = Result<(), LawBroken>;

/// One slot of a store, asked on behalf of a law.
pub(super) struct Probe<'a, D> {
    law: &'static str,
    store: &'a D,
    pub(super) slot: SlotKey,
}

impl<'a, D: DedupStore> Probe<'a, D> {
    /// A slot that nobody has used.
    pub(super) fn new(law: &'static str, store: &'a D) -> Self {
        let slot = slot();
        Self { law, store, slot }
    }

    pub(super) fn at(&self, slot: SlotKey) -> Self {
        let Self { law, store, .. } = *self;
        Self { law, store, slot }
    }

    pub(super) async fn claim(&self, owner: Owner, lease: Duration) -> Result<Claim, LawBroken> {
        let claim = self.store.claim(&self.slot, owner, lease).await;
        self.sound("claim", claim)
    }

    pub(super) async fn peek(&self) -> Result<Option<Record>, LawBroken> {
        self.sound("peek", self.store.peek(&self.slot).await)
    }

    pub(super) async fn renew(&self, held: &Held, lease: Duration) -> Result<Settled, LawBroken> {
        let settled = self.store.renew(&self.slot, held, lease).await;
        self.sound("renew", settled)
    }

    pub(super) async fn commit(&self, held: &Held, record: &Record) -> Result<Settled, LawBroken> {
        self.commit_for(held, record, LONG).await
    }

    pub(super) async fn commit_for(
        &self,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Result<Settled, LawBroken> {
        let settled = self.store.commit(&self.slot, held, record, retain).await;
        self.sound("commit", settled)
    }

    pub(super) async fn release(&self, held: &Held) -> Result<Settled, LawBroken> {
        let settled = self.store.release(&self.slot, held).await;
        self.sound("release", settled)
    }

    /// Claims, and must be granted.
    pub(super) async fn granted(
        &self,
        owner: Owner,
        lease: Duration,
        why: &str,
    ) -> Result<Held, LawBroken> {
        match self.claim(owner, lease).await? {
            Claim::Granted(held) if held.owner() == owner => Ok(held),
            other => Err(self.broken(format!("{why}: claim must be granted, was {other:?}"))),
        }
    }

    /// Somebody else claims, and must not be granted.
    pub(super) async fn is_in_flight(&self, why: &str) -> Law {
        match self.claim(Owner::random(), LONG).await? {
            Claim::InFlight { .. } => Ok(()),
            other => Err(self.broken(format!(
                "{why}: a stranger's claim must be in flight, was {other:?}"
            ))),
        }
    }

    /// `owner` claims, and must learn that the slot is done.
    pub(super) async fn is_done(&self, owner: Owner, record: &Record, why: &str) -> Law {
        let claim = self.claim(owner, LONG).await?;
        self.equal(&claim, &Claim::Done(*record), why)
    }

    pub(super) fn applied(&self, settled: Settled, why: &str) -> Law {
        self.equal(&settled, &Settled::Applied, why)
    }

    pub(super) fn lost(&self, settled: Settled, why: &str) -> Law {
        self.equal(&settled, &Settled::Lost, why)
    }

    pub(super) fn equal<T: PartialEq + Debug>(&self, is: &T, must: &T, what: &str) -> Law {
        self.holds(is == must, || {
            format!("{what}: must be {must:?}, was {is:?}")
        })
    }

    pub(super) fn holds(&self, holds: bool, otherwise: impl FnOnce() -> String) -> Law {
        match holds {
            true => Ok(()),
            false => Err(self.broken(otherwise())),
        }
    }

    pub(super) fn broken(&self, how: impl Into<String>) -> LawBroken {
        LawBroken::by_store(self.law, how)
    }

    /// Waits until every lease of length [`SHORT`] that was granted before has ended by the store's
    /// own clock: until a later one has.
    pub(super) async fn short_leases_end(&self) -> Law {
        let witness = self.at(slot());
        witness.granted(Owner::random(), SHORT, "free slot").await?;
        let successor = Owner::random();
        let deadline = Instant::now() + PATIENCE;
        while !matches!(witness.claim(successor, LONG).await?, Claim::Granted(_)) {
            self.in_time(deadline, "a lease of 100 ms must end").await?;
        }
        Ok(())
    }

    /// A pause between two looks.
    pub(super) async fn in_time(&self, deadline: Instant, what: &str) -> Law {
        self.holds(Instant::now() < deadline, || {
            format!("{what}, and did not within {PATIENCE:?}")
        })?;
        sleep(Duration::from_millis(5)).await;
        Ok(())
    }

    pub(super) fn deadline() -> Instant {
        Instant::now() + PATIENCE
    }

    fn sound<T>(&self, operation: &str, answer: Result<T, D::Error>) -> Result<T, LawBroken> {
        answer.map_err(|error| LawBroken::by_error(self.law, operation, error.into()))
    }
}

/// A slot with a name that no other run uses. No byte of it is zero: a store that takes one for the
/// end of a name breaks the law that says so, and no other by chance.
pub(super) fn slot() -> SlotKey {
    let mut bytes = [0; 32];
    let halves = [Owner::random(), Owner::random()];
    for (byte, random) in bytes
        .iter_mut()
        .zip(halves.iter().flat_map(Owner::as_bytes))
    {
        *byte = (*random).max(1);
    }
    SlotKey::from(bytes)
}

/// A record of these bytes, cut where a record ends.
pub(super) fn record(bytes: &[u8]) -> Record {
    let fits = bytes.get(..Record::MAX_LEN).unwrap_or(bytes);
    Record::try_from(fits).unwrap_or(Record::EMPTY)
}
