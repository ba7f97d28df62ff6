//! Who may renew, commit and release.

use std::sync::Arc;

use super::{
    LawBroken,
    probe::{LONG, Law, Probe, SHORT, record},
};
use crate::{
    DedupStore,
    store::{Claim, Held, Owner},
};

/// Renew, commit and release apply for the current owner and fence alone; for anybody else they are
/// lost and change nothing. They do not make a slot either.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn only_the_holder_settles<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("only_the_holder_settles", &**store);
    let zombie = Owner::random();
    all_lost(&probe, &Held::new(zombie, 1, 1), "slot that never was").await?;
    let before = probe.granted(zombie, SHORT, "free slot").await?;
    probe.equal(
        &before.attempt(),
        &1,
        "attempt after settling a slot that never was",
    )?;
    probe.short_leases_end().await?;
    let held = probe.granted(Owner::random(), LONG, "ended lease").await?;
    all_lost(&probe, &before, "the holder before").await?;

    let (owner, fence) = (held.owner(), held.fence());
    all_lost(&probe, &Held::new(owner, fence - 1, 2), "an older fence").await?;
    all_lost(&probe, &Held::new(owner, fence + 1, 2), "a later fence").await?;
    all_lost(&probe, &Held::new(zombie, fence, 2), "another owner").await?;

    probe.is_in_flight("strangers settled nothing").await?;
    probe.equal(&probe.peek().await?, &None, "peek")?;
    probe.applied(probe.renew(&held, LONG).await?, "renewal by the holder")?;
    probe.applied(probe.release(&held).await?, "release by the holder")?;
    all_lost(&probe, &held, "the holder after its release").await?;
    let next = probe
        .granted(Owner::random(), LONG, "released slot")
        .await?;
    let settled = probe.commit(&next, &record(b"mine")).await?;
    probe.applied(settled, "commit by the holder")?;
    all_lost(&probe, &before, "the first holder, on a done slot").await?;
    all_lost(&probe, &held, "the second holder, on a done slot").await?;
    probe
        .is_done(held.owner(), &record(b"mine"), "claim of a done slot")
        .await
}

/// Repeated by its owner, after an answer that was lost, a commit is applied again.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn commit_is_idempotent<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("commit_is_idempotent", &**store);
    let held = probe.granted(Owner::random(), SHORT, "free slot").await?;
    let record = record(b"done");
    for time in ["first commit", "second commit"] {
        probe.applied(probe.commit(&held, &record).await?, time)?;
    }
    probe.short_leases_end().await?;
    let settled = probe.commit(&held, &record).await?;
    probe.applied(settled, "commit repeated when the lease had ended")?;
    probe.equal(&probe.peek().await?, &Some(record), "peek")
}

/// A released slot is free at once, for anybody.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn release_frees_at_once<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("release_frees_at_once", &**store);
    let held = probe.granted(Owner::random(), LONG, "free slot").await?;
    probe.applied(probe.release(&held).await?, "release")?;
    match probe.claim(Owner::random(), LONG).await? {
        Claim::Granted(_) => probe.is_in_flight("claimed after the release").await,
        other => Err(probe.broken(format!("claim after the release was {other:?}"))),
    }
}

async fn all_lost<D: DedupStore>(probe: &Probe<'_, D>, held: &Held, who: &str) -> Law {
    let settled = probe.renew(held, LONG).await?;
    probe.lost(settled, &format!("renewal by {who}"))?;
    let settled = probe.commit(held, &record(b"theirs")).await?;
    probe.lost(settled, &format!("commit by {who}"))?;
    let settled = probe.release(held).await?;
    probe.lost(settled, &format!("release by {who}"))
}
