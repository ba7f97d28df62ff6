//! The conformance kit: it passes the stores that keep the laws, and names the law that a store
//! with a deliberate fault breaks.

use std::{error::Error, sync::Arc};

use crate::faulty::{Fault, FaultyStore};
use harness::counting::counting;
use suno_callback::{
    AnyStore, MemoryStore,
    testkit::{self, LawBroken, laws},
};

#[tokio::test(start_paused = true)]
async fn the_memory_store_keeps_every_law() -> Result<(), LawBroken> {
    testkit::all(&Arc::new(MemoryStore::default())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_store_keeps_every_law_in_real_time() -> Result<(), LawBroken> {
    testkit::all(&Arc::new(MemoryStore::default())).await
}

#[tokio::test(start_paused = true)]
async fn a_store_with_an_erased_type_keeps_every_law() -> Result<(), LawBroken> {
    testkit::all(&Arc::new(AnyStore::new(MemoryStore::default()))).await
}

#[tokio::test(start_paused = true)]
async fn a_store_whose_operations_are_counted_keeps_every_law() -> Result<(), LawBroken> {
    testkit::all(&Arc::new(counting(MemoryStore::default()))).await
}

#[tokio::test(start_paused = true)]
async fn the_store_that_faults_are_put_into_keeps_every_law() -> Result<(), LawBroken> {
    testkit::all(&Arc::new(FaultyStore::new(Fault::None))).await
}

#[tokio::test(start_paused = true)]
async fn every_fault_breaks_the_law_that_it_should() {
    let mut wrong = Vec::new();
    for (fault, law) in [
        (Fault::EverybodyIsGranted, "one_holder_at_most"),
        (Fault::LeaseNeverEnds, "one_holder_at_most"),
        (Fault::ExactLeaseIsAbsurd, "one_holder_at_most"),
        (Fault::ClaimAgainIsInFlight, "claim_is_idempotent"),
        (Fault::ClaimAgainIsANewFence, "claim_is_idempotent"),
        (Fault::ClaimAgainKeepsTheLease, "claim_is_idempotent"),
        (Fault::EndedClaimIsLost, "ended_claim_stays_its_owners"),
        (Fault::RenewalDoesNothing, "ended_claim_stays_its_owners"),
        (
            Fault::RenewalIsOneMillisecond,
            "ended_claim_stays_its_owners",
        ),
        (
            Fault::ReleaseResetsFence,
            "fence_grows_with_every_acquisition",
        ),
        (
            Fault::AttemptIsAlwaysOne,
            "fence_grows_with_every_acquisition",
        ),
        (Fault::IdleSlotIsForgotten, "idle_slot_keeps_its_fence"),
        (Fault::ClaimsAreEvicted, "claims_are_never_evicted"),
        (Fault::AbsurdLeaseIsBelieved, "absurd_lease_counts_as_ended"),
        (Fault::UnfencedCommit, "only_the_holder_settles"),
        (Fault::UnfencedRenewal, "only_the_holder_settles"),
        (Fault::UnfencedRelease, "only_the_holder_settles"),
        (Fault::OwnerAloneCommits, "only_the_holder_settles"),
        (Fault::FenceAloneCommits, "only_the_holder_settles"),
        (Fault::CommitMakesTheSlot, "only_the_holder_settles"),
        (Fault::CommitOnceOnly, "commit_is_idempotent"),
        (
            Fault::ReleaseWaitsForTheLease,
            "fence_grows_with_every_acquisition",
        ),
        (Fault::ReleaseUndoesDone, "done_is_absorbing"),
        (Fault::RenewalUndoesDone, "done_is_absorbing"),
        (Fault::DoneCanBeOverwritten, "only_the_holder_settles"),
        (Fault::DoneEndsWithTheLease, "commit_is_idempotent"),
        (Fault::OwnerIsNotToldDone, "done_is_absorbing"),
        (Fault::HeldIsPeekedAsDone, "only_the_holder_settles"),
        (Fault::EndedIsPeekedAsDone, "peek_shows_done_alone"),
        (Fault::RetentionNeverEnds, "retention_ends"),
        (Fault::RetentionIsShort, "commit_is_idempotent"),
        (Fault::EndlessRetentionFails, "endless_retention_is_granted"),
        (Fault::RecordIsCut, "records_round_trip"),
        (Fault::RecordIsText, "records_round_trip"),
        (Fault::KeyIsCut, "keys_are_opaque"),
        (Fault::KeyIsText, "keys_are_opaque"),
        (Fault::ClaimReadsThenWrites, "one_of_many_wins"),
        (
            Fault::DroppedClaimLocks,
            "dropped_operations_are_whole_or_not_at_all",
        ),
        (
            Fault::DroppedCommitIsHalf,
            "dropped_operations_are_whole_or_not_at_all",
        ),
        (Fault::EveryCallFails, "one_holder_at_most"),
    ] {
        let broken = testkit::all(&Arc::new(FaultyStore::new(fault))).await;
        let broken = broken
            .err()
            .map(|broken| (broken.law(), broken.to_string()));
        if broken.as_ref().map(|(named, _)| *named) != Some(law) {
            wrong.push(format!("{fault:?} must break {law}: {broken:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_broken_law_is_told_by_name_and_with_its_source() {
    let store = Arc::new(FaultyStore::new(Fault::EveryCallFails));
    let broken = testkit::all(&store).await.expect_err("it fails");
    let told = "the store breaks the law `one_holder_at_most`: claim failed: no disk";
    assert_eq!(broken.to_string(), told);
    assert_eq!(format!("{broken:?}"), told);
    assert_eq!(broken.source().expect("a source").to_string(), "no disk");
}

#[tokio::test(start_paused = true)]
async fn the_example_of_the_readme_is_what_a_store_is_told() {
    let store = Arc::new(FaultyStore::new(Fault::UnfencedCommit));
    let broken = laws::only_the_holder_settles(&store).await;
    let told = format!("``{}``", broken.expect_err("it settles"));
    let readme = include_str!("../../README.md").replace('\n', " ");
    assert!(readme.contains(&told), "{told}");
}

#[tokio::test(start_paused = true)]
async fn laws_may_run_again_and_beside_each_other_on_a_store_that_holds_other_things() {
    let store = Arc::new(MemoryStore::default());
    let all = || testkit::all(&store);
    let (first, second, third) = tokio::join!(all(), all(), all());
    first.and(second).and(third).unwrap();
    all().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn laws_that_come_late_see_their_faults_alone_too() {
    let reads_then_writes = Arc::new(FaultyStore::new(Fault::ClaimReadsThenWrites));
    let broken = laws::holders_never_overlap(&reads_then_writes).await;
    assert!(broken.is_err(), "two read the slot free and both wrote");

    let slow_release = Arc::new(FaultyStore::new(Fault::ReleaseWaitsForTheLease));
    let broken = laws::release_frees_at_once(&slow_release).await;
    assert!(broken.is_err(), "the lease outlived the release");

    let lazy = Arc::new(FaultyStore::new(Fault::RenewalDoesNothing));
    let broken = laws::renewal_extends_the_lease(&lazy).await;
    assert!(
        broken.is_err(),
        "the renewal was told to be applied and was not"
    );
}
