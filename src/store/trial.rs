//! What [`DedupStore::check`] does: a claim and its release on a slot of its own.

use std::{hash::BuildHasher, sync::LazyLock, time::Duration};

use sha2::{Digest, Sha256};

use super::{Claim, DedupStore, Owner, SlotKey};

/// How many slots all probes of a store share, so that they leave no more rows than these.
const SLOTS: u64 = 64;

/// How many of them one probe goes through until it finds one that nobody else is probing.
const TRIES: u64 = 8;

/// What a probe that dies between its two steps costs the next one on the same slot: a look.
const LEASE: Duration = Duration::from_secs(1);

/// Of the process and not of the probe: to claim again what one holds already is granted, so that
/// probes of one process never stand in each other's way.
static OWNER: LazyLock<Owner> = LazyLock::new(Owner::random);

pub(super) async fn trial<D: DedupStore + ?Sized>(store: &D) -> Result<(), D::Error> {
    for number in 0..TRIES {
        let slot = slot(number);
        if let Claim::Granted(held) = store.claim(&slot, *OWNER, LEASE).await? {
            // Lost says that another probe of this process was quicker, and the store has answered.
            let _ = store.release(&slot, &held).await?;
            return Ok(());
        }
    }
    // Other processes hold all of them at this moment, which they could not without a good store.
    Ok(())
}

/// Every process begins at a slot of its own.
fn slot(number: u64) -> SlotKey {
    static FIRST: LazyLock<u64> = LazyLock::new(|| std::hash::RandomState::new().hash_one(()));
    let number = FIRST.wrapping_add(number) % SLOTS;
    let name = format!("suno-callback check {number}");
    SlotKey::from(<[u8; 32]>::from(Sha256::digest(name)))
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use super::*;
    use crate::{
        AnyStore, MemoryStore,
        store::{Held, Record, Settled},
    };

    /// Grants nothing, and keeps what it was asked for and told.
    #[derive(Clone, Default)]
    struct Taken {
        asked: Arc<Mutex<Vec<SlotKey>>>,
        told: Arc<Mutex<Vec<Duration>>>,
    }

    impl DedupStore for Taken {
        type Error = Infallible;

        async fn peek(&self, _: &SlotKey) -> Result<Option<Record>, Infallible> {
            Ok(None)
        }
        async fn claim(&self, slot: &SlotKey, _: Owner, _: Duration) -> Result<Claim, Infallible> {
            self.asked.lock().unwrap().push(*slot);
            let remaining = Duration::from_secs(1);
            Ok(Claim::InFlight { remaining })
        }
        async fn renew(&self, _: &SlotKey, _: &Held, _: Duration) -> Result<Settled, Infallible> {
            Ok(Settled::Lost)
        }
        async fn commit(
            &self,
            _: &SlotKey,
            _: &Held,
            _: &Record,
            _: Duration,
        ) -> Result<Settled, Infallible> {
            Ok(Settled::Lost)
        }
        async fn release(&self, _: &SlotKey, _: &Held) -> Result<Settled, Infallible> {
            Ok(Settled::Lost)
        }
        fn set_operation_timeout(&self, timeout: Duration) {
            self.told.lock().unwrap().push(timeout);
        }
    }

    #[tokio::test]
    async fn a_probe_leaves_its_slot_free_and_always_takes_the_same() {
        let store = MemoryStore::default();
        for fence in 1..100 {
            let stranger = Owner::from([7; 16]);
            let Ok(Claim::Granted(held)) = store.claim(&slot(0), stranger, LEASE).await else {
                panic!("a slot of probes must be free between them");
            };
            assert_eq!(held.fence(), 2 * fence - 1);
            let _ = store.release(&slot(0), &held).await.unwrap();
            store.check().await.unwrap();
        }
    }

    #[tokio::test]
    async fn who_finds_a_slot_in_use_takes_another_and_never_fails_for_it() {
        let store = Taken::default();
        AnyStore::new(store.clone()).check().await.unwrap();
        let mut asked = store.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        assert_eq!(asked.len() as u64, TRIES);
    }

    #[tokio::test]
    async fn a_layer_tells_its_store_how_long_it_waits() {
        let store = Taken::default();
        let key = crate::SigningKey::new("the key of this test").unwrap();
        let layer = crate::SunoCallbackLayer::new(key, AnyStore::new(store.clone()));
        let times = crate::Times {
            store_operation: Duration::from_millis(700),
            ..crate::Times::default()
        };
        let _layer = layer.times(times).unwrap();
        let told = store.told.lock().unwrap().clone();
        assert_eq!(told, [1000, 700].map(Duration::from_millis));
    }
}
