//! The laws of a store, one function each.
//!
//! Every function takes the store in an `Arc`, because those that race hand it to tasks.

mod holding;
mod keeping;
mod probe;
mod racing;
mod settling;

pub use self::holding::{
    absurd_lease_counts_as_ended, claim_is_idempotent, claims_are_never_evicted,
    ended_claim_stays_its_owners, fence_grows_with_every_acquisition, idle_slot_keeps_its_fence,
    one_holder_at_most, renewal_extends_the_lease,
};
pub use self::keeping::{
    done_is_absorbing, endless_retention_is_granted, keys_are_opaque, peek_shows_done_alone,
    records_round_trip, retention_ends,
};
pub use self::racing::{
    dropped_operations_are_whole_or_not_at_all, holders_never_overlap, one_of_many_wins,
};
pub use self::settling::{commit_is_idempotent, only_the_holder_settles, release_frees_at_once};
pub use super::LawBroken;

use std::sync::Arc;

use crate::DedupStore;

/// Runs every law, one after the other.
///
/// Takes some seconds for a store whose leases end in real time. Cancel safe: slots of a law that
/// was dropped are as good as any other row.
///
/// # Errors
///
/// The first law that is broken. Also an error of the store is one: no law asks for anything that a
/// store may refuse.
pub async fn all<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    one_holder_at_most(store).await?;
    claim_is_idempotent(store).await?;
    ended_claim_stays_its_owners(store).await?;
    renewal_extends_the_lease(store).await?;
    fence_grows_with_every_acquisition(store).await?;
    idle_slot_keeps_its_fence(store).await?;
    only_the_holder_settles(store).await?;
    absurd_lease_counts_as_ended(store).await?;
    commit_is_idempotent(store).await?;
    release_frees_at_once(store).await?;
    done_is_absorbing(store).await?;
    peek_shows_done_alone(store).await?;
    retention_ends(store).await?;
    endless_retention_is_granted(store).await?;
    records_round_trip(store).await?;
    keys_are_opaque(store).await?;
    claims_are_never_evicted(store).await?;
    dropped_operations_are_whole_or_not_at_all(store).await?;
    one_of_many_wins(store).await?;
    holders_never_overlap(store).await
}
