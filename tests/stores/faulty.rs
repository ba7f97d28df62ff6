//! A small, plain store that can be given one fault.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use suno_callback::store::{Claim, DedupStore, Held, MAX_LEASE, Owner, Record, Settled, SlotKey};
use tokio::{task::yield_now, time::Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    EverybodyIsGranted,
    LeaseNeverEnds,
    ExactLeaseIsAbsurd,
    AbsurdLeaseIsBelieved,
    ClaimAgainIsInFlight,
    ClaimAgainIsANewFence,
    ClaimAgainKeepsTheLease,
    ClaimReadsThenWrites,
    EndedClaimIsLost,
    IdleSlotIsForgotten,
    ClaimsAreEvicted,
    AttemptIsAlwaysOne,
    RenewalDoesNothing,
    RenewalIsOneMillisecond,
    RenewalUndoesDone,
    UnfencedRenewal,
    UnfencedCommit,
    UnfencedRelease,
    OwnerAloneCommits,
    FenceAloneCommits,
    CommitMakesTheSlot,
    CommitOnceOnly,
    ReleaseResetsFence,
    ReleaseWaitsForTheLease,
    ReleaseUndoesDone,
    DoneCanBeOverwritten,
    DoneEndsWithTheLease,
    OwnerIsNotToldDone,
    HeldIsPeekedAsDone,
    EndedIsPeekedAsDone,
    RetentionNeverEnds,
    RetentionIsShort,
    EndlessRetentionFails,
    RecordIsCut,
    RecordIsText,
    KeyIsCut,
    KeyIsText,
    DroppedClaimLocks,
    DroppedCommitIsHalf,
    EveryCallFails,
}

#[derive(Clone)]
struct Slot {
    owner: Owner,
    fence: i64,
    attempt: u32,
    lease: Instant,
    state: State,
}

#[derive(Clone)]
enum State {
    Free,
    Held,
    Done { until: Instant, record: Record },
}

pub struct FaultyStore {
    fault: Fault,
    slots: Mutex<HashMap<Vec<u8>, Slot>>,
}

impl FaultyStore {
    pub fn new(fault: Fault) -> Self {
        let slots = Mutex::default();
        Self { fault, slots }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Slot>> {
        self.slots.lock().unwrap()
    }

    fn key(&self, slot: &SlotKey) -> Vec<u8> {
        let bytes = slot.as_bytes();
        match self.fault {
            Fault::KeyIsCut => bytes.split(|byte| *byte == 0).next().unwrap().to_vec(),
            Fault::KeyIsText => String::from_utf8_lossy(bytes).into_owned().into_bytes(),
            _ => bytes.to_vec(),
        }
    }

    fn get(&self, slot: &SlotKey) -> Option<Slot> {
        let mut slots = self.slots();
        let key = self.key(slot);
        let now = Instant::now();
        let gone = slots.get(&key).is_some_and(|slot| match slot.state {
            State::Done { until, .. } if self.has(Fault::RetentionIsShort) => {
                until - Duration::from_millis(49_950) < now
            }
            State::Done { until, .. } => until <= now && !self.has(Fault::RetentionNeverEnds),
            _ => {
                self.has(Fault::IdleSlotIsForgotten)
                    && slot.lease + Duration::from_millis(90) <= now
            }
        });
        let ended = self.has(Fault::DoneEndsWithTheLease)
            && slots
                .get(&key)
                .is_some_and(|slot| slot.lease <= now && slot.is_done());
        if gone || ended {
            slots.remove(&key);
        }
        slots.get(&key).cloned()
    }

    fn put(&self, slot: &SlotKey, value: Slot) {
        if self.has(Fault::ClaimsAreEvicted) {
            let mut slots = self.slots();
            let oldest = slots.iter().min_by_key(|(_, slot)| slot.lease);
            if let (true, Some(oldest)) = (slots.len() > 150, oldest.map(|(key, _)| key.clone())) {
                slots.remove(&oldest);
            }
        }
        self.slots().insert(self.key(slot), value);
    }

    /// Whether a slot can be claimed by a stranger.
    fn is_free(&self, slot: &Slot) -> bool {
        let now = Instant::now();
        let absurd = match self.fault {
            Fault::AbsurdLeaseIsBelieved => false,
            Fault::ExactLeaseIsAbsurd => slot.lease >= now + MAX_LEASE,
            _ => slot.lease > now + MAX_LEASE,
        };
        let ended = slot.lease <= now && !self.has(Fault::LeaseNeverEnds);
        match slot.state {
            State::Free if self.has(Fault::ReleaseWaitsForTheLease) => ended,
            State::Free => true,
            _ => ended || absurd || self.has(Fault::EverybodyIsGranted),
        }
    }

    /// Whether `held` may settle the slot.
    fn is_of(&self, slot: &Slot, held: &Held, unfenced: Fault) -> bool {
        let (owner, fence) = (slot.owner == held.owner(), slot.fence == held.fence());
        let commits = unfenced == Fault::UnfencedCommit;
        match self.fault {
            fault if fault == unfenced => true,
            Fault::OwnerAloneCommits if commits => owner,
            Fault::FenceAloneCommits if commits => fence,
            Fault::EndedClaimIsLost => owner && fence && slot.lease > Instant::now(),
            _ => owner && fence,
        }
    }

    fn check(&self) -> Result<(), io::Error> {
        match self.fault {
            Fault::EveryCallFails => Err(io::Error::other("no disk")),
            _ => Ok(()),
        }
    }

    fn claim_now(
        &self,
        key: &SlotKey,
        found: Option<Slot>,
        owner: Owner,
        lease: Duration,
    ) -> Claim {
        let until = after(lease);
        let Some(mut slot) = found else {
            let slot = Slot {
                owner,
                fence: 1,
                attempt: 1,
                lease: until,
                state: State::Held,
            };
            self.put(key, slot);
            return Claim::Granted(Held::new(owner, 1, 1));
        };
        if let State::Done { record, .. } = slot.state
            && !(self.has(Fault::OwnerIsNotToldDone) && slot.owner == owner)
        {
            return Claim::Done(record);
        }
        let again = slot.is_held() && slot.owner == owner && !self.has(Fault::ClaimAgainIsInFlight);
        if !again && !self.is_free(&slot) {
            let remaining = slot.lease.saturating_duration_since(Instant::now());
            return Claim::InFlight { remaining };
        }
        if !again || self.has(Fault::ClaimAgainIsANewFence) {
            slot.owner = owner;
            slot.fence += 1;
            slot.attempt += u32::from(!self.has(Fault::AttemptIsAlwaysOne));
        }
        if !again || !self.has(Fault::ClaimAgainKeepsTheLease) {
            slot.lease = until;
        }
        slot.state = State::Held;
        let held = Held::new(owner, slot.fence, slot.attempt);
        self.put(key, slot);
        Claim::Granted(held)
    }
}

impl DedupStore for FaultyStore {
    type Error = io::Error;

    async fn peek(&self, slot: &SlotKey) -> Result<Option<Record>, io::Error> {
        self.check()?;
        let Some(slot) = self.get(slot) else {
            return Ok(None);
        };
        Ok(match slot.state {
            State::Done { record, .. } => Some(record),
            State::Held if self.has(Fault::HeldIsPeekedAsDone) => Some(Record::EMPTY),
            State::Held if self.has(Fault::EndedIsPeekedAsDone) => {
                (slot.lease <= Instant::now()).then_some(Record::EMPTY)
            }
            _ => None,
        })
    }

    async fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, io::Error> {
        self.check()?;
        let found = self.get(slot);
        match self.fault {
            Fault::ClaimReadsThenWrites => yield_now().await,
            Fault::DroppedClaimLocks => {
                let locked = found.is_none();
                if locked {
                    let _ = self.claim_now(slot, None, Owner::from([9; 16]), lease);
                }
                yield_now().await;
                if locked {
                    self.slots().remove(&self.key(slot));
                }
            }
            _ => {}
        }
        Ok(self.claim_now(slot, found, owner, lease))
    }

    async fn renew(
        &self,
        key: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> Result<Settled, io::Error> {
        let Some(mut slot) = self.get(key) else {
            return Ok(Settled::Lost);
        };
        let held_still = slot.is_held() || (slot.is_done() && self.has(Fault::RenewalUndoesDone));
        if !held_still || !self.is_of(&slot, held, Fault::UnfencedRenewal) {
            return Ok(Settled::Lost);
        }
        slot.state = State::Held;
        slot.lease = match self.fault {
            Fault::RenewalDoesNothing => slot.lease,
            Fault::RenewalIsOneMillisecond => after(Duration::from_millis(1)),
            _ => after(lease),
        };
        // Time passes for the store, so that a lease of a millisecond is over when it is looked at.
        self.put(key, slot);
        if self.has(Fault::RenewalIsOneMillisecond) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(Settled::Applied)
    }

    async fn commit(
        &self,
        key: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Result<Settled, io::Error> {
        if self.has(Fault::EndlessRetentionFails) && retain == Duration::MAX {
            return Err(io::Error::other("out of range"));
        }
        let mut slot = match self.get(key) {
            Some(slot) => slot,
            None if self.has(Fault::CommitMakesTheSlot) => Slot {
                owner: held.owner(),
                fence: held.fence(),
                attempt: 1,
                lease: Instant::now(),
                state: State::Held,
            },
            None => return Ok(Settled::Lost),
        };
        let overwrites = slot.is_done() && self.has(Fault::DoneCanBeOverwritten);
        if !overwrites && !self.is_of(&slot, held, Fault::UnfencedCommit) {
            return Ok(Settled::Lost);
        }
        match slot.state {
            State::Free => return Ok(Settled::Lost),
            State::Done { .. } if self.has(Fault::CommitOnceOnly) => return Ok(Settled::Lost),
            _ => {}
        }
        let until = after(retain);
        let stored = match self.fault {
            Fault::RecordIsCut => &record.as_bytes()[..record.as_bytes().len().min(63)],
            Fault::RecordIsText => {
                let text = String::from_utf8_lossy(record.as_bytes()).into_owned();
                let cut = &text.as_bytes()[..text.len().min(64)];
                slot.state = State::Done {
                    until,
                    record: Record::try_from(cut).unwrap(),
                };
                self.put(key, slot);
                return Ok(Settled::Applied);
            }
            _ => record.as_bytes(),
        };
        if self.has(Fault::DroppedCommitIsHalf) {
            let record = Record::EMPTY;
            slot.state = State::Done { until, record };
            self.put(key, slot.clone());
            yield_now().await;
        }
        let record = Record::try_from(stored).unwrap();
        slot.state = State::Done { until, record };
        self.put(key, slot);
        Ok(Settled::Applied)
    }

    async fn release(&self, key: &SlotKey, held: &Held) -> Result<Settled, io::Error> {
        let Some(mut slot) = self.get(key) else {
            return Ok(Settled::Lost);
        };
        let held_still = slot.is_held() || (slot.is_done() && self.has(Fault::ReleaseUndoesDone));
        if !held_still || !self.is_of(&slot, held, Fault::UnfencedRelease) {
            return Ok(Settled::Lost);
        }
        slot.state = State::Free;
        if self.has(Fault::ReleaseResetsFence) {
            slot.fence = 0;
        }
        self.put(key, slot);
        Ok(Settled::Applied)
    }
}

impl Slot {
    fn is_held(&self) -> bool {
        matches!(self.state, State::Held)
    }

    fn is_done(&self) -> bool {
        matches!(self.state, State::Done { .. })
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({:?})", self.fault)
    }
}

fn after(span: Duration) -> Instant {
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    Instant::now() + span.min(century)
}
