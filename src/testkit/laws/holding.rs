//! Who holds a slot, for how long, under which fence.

use std::{sync::Arc, time::Duration};

use super::{
    LawBroken,
    probe::{LONG, Probe, SHORT},
};
use crate::{
    DedupStore,
    store::{Claim, MAX_LEASE, Owner, Record, Settled},
};

/// A slot has at most one holder whose lease has not ended; when it has ended, the next one is
/// granted, and the holder before is a stranger.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn one_holder_at_most<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("one_holder_at_most", &**store);
    let (first, second) = (Owner::random(), Owner::random());
    probe.granted(first, MAX_LEASE, "free slot").await?;
    match probe.claim(second, LONG).await? {
        Claim::InFlight { remaining } => probe.holds(remaining <= MAX_LEASE, || {
            format!("a lease of {MAX_LEASE:?} lasts {remaining:?} more")
        })?,
        other => return Err(probe.broken(format!("second claim on a held slot was {other:?}"))),
    }

    let ending = Probe::new("one_holder_at_most", &**store);
    ending.granted(first, SHORT, "free slot").await?;
    ending.short_leases_end().await?;
    ending.granted(second, LONG, "the lease has ended").await?;
    match ending.claim(first, LONG).await? {
        Claim::InFlight { .. } => Ok(()),
        other => Err(ending.broken(format!("claim of the holder before was {other:?}"))),
    }
}

/// Claimed again by its owner, after an answer that was lost, a slot is granted again: the same
/// fence, the same attempt, the lease from now.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn claim_is_idempotent<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("claim_is_idempotent", &**store);
    let owner = Owner::random();
    let first = probe.granted(owner, SHORT, "free slot").await?;
    let again = probe.granted(owner, LONG, "repeated by its owner").await?;
    probe.equal(&again, &first, "a repeated claim")?;
    probe.short_leases_end().await?;
    probe
        .is_in_flight("the repeated claim has its own lease")
        .await
}

/// A claim whose lease has ended and that nobody took is still its owner's: to renew, to commit, to
/// release, to claim again.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn ended_claim_stays_its_owners<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("ended_claim_stays_its_owners", &**store);
    let owner = Owner::random();
    let slots = [(); 4].map(|()| probe.at(super::probe::slot()));
    let [renewed, committed, released, claimed] = &slots;
    let free = "free slot";
    let to_renew = renewed.granted(owner, SHORT, free).await?;
    let to_commit = committed.granted(owner, SHORT, free).await?;
    let to_release = released.granted(owner, SHORT, free).await?;
    let to_claim = claimed.granted(owner, SHORT, free).await?;
    probe.short_leases_end().await?;

    let settled = renewed.renew(&to_renew, LONG).await?;
    probe.applied(settled, "renewal of an ended claim")?;
    renewed.is_in_flight("an ended claim was renewed").await?;
    let record = super::probe::record(b"late");
    let settled = committed.commit(&to_commit, &record).await?;
    probe.applied(settled, "commit of an ended claim")?;
    let settled = released.release(&to_release).await?;
    probe.applied(settled, "release of an ended claim")?;
    let again = claimed.granted(owner, LONG, "its ended claim").await?;
    probe.equal(&again, &to_claim, "an ended claim that its owner repeats")
}

/// A renewed lease lasts from its renewal, for as long as was asked.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn renewal_extends_the_lease<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("renewal_extends_the_lease", &**store);
    let held = probe.granted(Owner::random(), SHORT, "free slot").await?;
    let settled = probe.renew(&held, LONG).await?;
    probe.applied(settled, "renewal")?;
    probe.short_leases_end().await?;
    probe.is_in_flight("the lease was renewed").await?;

    let settled = probe.renew(&held, SHORT).await?;
    probe.applied(settled, "second renewal")?;
    probe.short_leases_end().await?;
    let next = Owner::random();
    let taken = probe
        .granted(next, LONG, "the renewed lease has ended")
        .await?;
    probe.holds(taken.fence() > held.fence(), || {
        format!("fence {} after {}", taken.fence(), held.fence())
    })
}

/// The fence grows and attempts are counted from 1 with every acquisition: after a release, after
/// an ended lease, and when the same owner comes back after a release.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn fence_grows_with_every_acquisition<D: DedupStore>(
    store: &Arc<D>,
) -> Result<(), LawBroken> {
    let probe = Probe::new("fence_grows_with_every_acquisition", &**store);
    let owner = Owner::random();
    let mut fence = None;
    for attempt in 1..=6 {
        let released = attempt % 3 != 0;
        let who = if attempt <= 2 { owner } else { Owner::random() };
        let held = probe.granted(who, SHORT, "nobody holds it").await?;
        probe.equal(&held.attempt(), &attempt, "attempt")?;
        probe.holds(fence.is_none_or(|before| held.fence() > before), || {
            format!("fence {} after {fence:?}", held.fence())
        })?;
        fence = Some(held.fence());
        match released {
            true => probe.applied(probe.release(&held).await?, "release")?,
            false => probe.short_leases_end().await?,
        }
    }
    Ok(())
}

/// A slot that is neither held nor done keeps its fence and its attempts beyond its lease. The law
/// says one hour ([`KEEP_FENCE`](crate::store::KEEP_FENCE)); what is checked here is some leases.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn idle_slot_keeps_its_fence<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("idle_slot_keeps_its_fence", &**store);
    let (released, ended) = (&probe, probe.at(super::probe::slot()));
    let first = released.granted(Owner::random(), SHORT, "free").await?;
    probe.applied(released.release(&first).await?, "release")?;
    let other = ended.granted(Owner::random(), SHORT, "free").await?;
    for _ in 0..3 {
        probe.short_leases_end().await?;
    }
    for (slot, before) in [(released, first), (&ended, other)] {
        let next = slot.granted(Owner::random(), LONG, "idle slot").await?;
        probe.holds(next.fence() > before.fence(), || {
            format!("fence {} after {}", next.fence(), before.fence())
        })?;
        probe.equal(&next.attempt(), &2, "attempt")?;
    }
    Ok(())
}

/// A lease that ends more than [`MAX_LEASE`] ahead counts as ended, so that a clock that stepped
/// back locks no slot for hours; one of exactly that length is believed.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn absurd_lease_counts_as_ended<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let hour = Duration::from_secs(3600);
    for lease in [hour, Duration::MAX] {
        let probe = Probe::new("absurd_lease_counts_as_ended", &**store);
        let absurd = probe.granted(Owner::random(), lease, "free slot").await?;
        let next = probe.granted(Owner::random(), LONG, "absurd lease").await?;
        probe.equal(
            &probe.renew(&absurd, LONG).await?,
            &Settled::Lost,
            "renewal by the first",
        )?;
        probe.applied(probe.renew(&next, lease).await?, "absurd renewal")?;
        probe
            .granted(Owner::random(), MAX_LEASE, "absurd renewal")
            .await?;
        probe.is_in_flight("a lease of 60 s is not absurd").await?;
    }
    Ok(())
}

/// A claim stays while others come and go: a hundred are held, a hundred slots are done meanwhile,
/// and each claim is still its holder's. A store of bounded size drops what is done, or says that
/// it is full.
///
/// # Errors
///
/// When the law is broken, or the store fails. It must have room for 200 slots.
pub async fn claims_are_never_evicted<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("claims_are_never_evicted", &**store);
    let mut claims = Vec::new();
    for _ in 0..100 {
        let slot = probe.at(super::probe::slot());
        let held = slot.granted(Owner::random(), LONG, "free slot").await?;
        claims.push((slot, held));
        let other = probe.at(super::probe::slot());
        let done = other.granted(Owner::random(), LONG, "free slot").await?;
        let settled = other.commit(&done, &Record::EMPTY).await?;
        probe.applied(settled, "commit")?;
    }
    for (slot, held) in &claims {
        slot.is_in_flight("a claim beside many").await?;
        let settled = slot.commit(held, &Record::EMPTY).await?;
        probe.applied(settled, "commit of a claim beside many")?;
    }
    Ok(())
}
