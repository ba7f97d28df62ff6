//! Many at once, and operations that nobody waits for.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Poll,
};

use tokio::task::JoinSet;

use super::{
    LawBroken,
    probe::{LONG, Law, Probe, SHORT, record},
};
use crate::{
    DedupStore,
    store::{Claim, Held, Owner, SlotKey},
};

/// How many tasks race.
const TASKS: usize = 32;

/// Of many that claim at once, one is granted: a free slot, and one whose lease has ended.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn one_of_many_wins<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let law = "one_of_many_wins";
    for _ in 0..4 {
        let probe = Probe::new(law, &**store);
        let first = race(law, store, probe.slot).await?;
        probe.equal(&first.len(), &1, "holders of a free slot after a race")?;

        let ended = Probe::new(law, &**store);
        let before = ended.granted(Owner::random(), SHORT, "free slot").await?;
        ended.short_leases_end().await?;
        let next = race(law, store, ended.slot).await?;
        ended.equal(
            &next.len(),
            &1,
            "holders after an ended lease was raced for",
        )?;
        ended.holds(
            next.iter().all(|held| held.fence() > before.fence()),
            || format!("fence of {next:?} after {before:?}"),
        )?;
    }
    Ok(())
}

/// Many take turns on one slot by claiming and releasing it: no two are in at the same time, and
/// no two get the same fence.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn holders_never_overlap<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let law = "holders_never_overlap";
    let probe = Probe::new(law, &**store);
    let inside = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let turn = take_a_turn(law, Arc::clone(store), probe.slot, Arc::clone(&inside));
        tasks.spawn(turn);
    }
    let held = joined(&probe, tasks).await?;
    let mut fences: Vec<i64> = held.iter().map(Held::fence).collect();
    fences.sort_unstable();
    fences.dedup();
    probe.equal(
        &fences.len(),
        &TASKS,
        "number of fences that were given out",
    )
}

/// An operation whose future was dropped has happened or has not: its owner can repeat it, and
/// nobody finds the slot in a state of its own.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn dropped_operations_are_whole_or_not_at_all<D: DedupStore>(
    store: &Arc<D>,
) -> Result<(), LawBroken> {
    for polls in 0..8 {
        let probe = Probe::new("dropped_operations_are_whole_or_not_at_all", &**store);
        drop_one_after_the_other(&probe, polls).await?;
    }
    Ok(())
}

async fn drop_one_after_the_other<D: DedupStore>(probe: &Probe<'_, D>, polls: usize) -> Law {
    let owner = Owner::random();
    dropped(probe.claim(owner, LONG), polls).await;
    let held = probe.granted(owner, LONG, "repeated after a drop").await?;
    probe.equal(&held.attempt(), &1, "attempt after a dropped claim")?;
    dropped(probe.renew(&held, LONG), polls).await;
    probe.applied(probe.renew(&held, LONG).await?, "renewal after a drop")?;
    dropped(probe.release(&held), polls).await;
    // It may have been released by the dropped future, or by this one.
    let _ = probe.release(&held).await?;

    let held = granted_in_the_end(probe, owner).await?;
    dropped(probe.commit(&held, &record(b"done")), polls).await;
    let peeked = probe.peek().await?;
    probe.holds(peeked.is_none_or(|seen| seen == record(b"done")), || {
        format!("after a dropped commit the record is {peeked:?}")
    })?;
    let settled = probe.commit(&held, &record(b"done")).await?;
    probe.applied(settled, "commit after a drop")?;
    dropped(probe.peek(), polls).await;
    probe
        .is_done(owner, &record(b"done"), "claim in the end")
        .await
}

/// A claim of what was released. What was dropped may still be on its way, and the claim among it
/// apply only now: then its owner holds the slot again, and releases it again.
async fn granted_in_the_end<D: DedupStore>(
    probe: &Probe<'_, D>,
    owner: Owner,
) -> Result<Held, LawBroken> {
    if let Claim::Granted(held) = probe.claim(Owner::random(), LONG).await? {
        probe.equal(&held.attempt(), &2, "attempt after a dropped release")?;
        return Ok(held);
    }
    let late = probe
        .granted(owner, LONG, "claimed by a dropped claim")
        .await?;
    probe.applied(probe.release(&late).await?, "release of a late claim")?;
    probe.granted(Owner::random(), LONG, "released slot").await
}

/// Polls a future so many times, then drops it.
async fn dropped<F: Future>(operation: F, polls: usize) {
    let mut operation = pin!(operation);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 || operation.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        left -= 1;
        match left {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
}

async fn race<D: DedupStore>(
    law: &'static str,
    store: &Arc<D>,
    slot: SlotKey,
) -> Result<Vec<Held>, LawBroken> {
    let probe = Probe::new(law, &**store);
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let probe = Probe::new(law, &*store).at(slot);
            match probe.claim(Owner::random(), LONG).await? {
                Claim::Granted(held) => Ok(Some(held)),
                Claim::InFlight { .. } => Ok(None),
                done => Err(probe.broken(format!("claim of an open slot was {done:?}"))),
            }
        });
    }
    Ok(joined(&probe, tasks).await?.into_iter().flatten().collect())
}

async fn take_a_turn<D: DedupStore>(
    law: &'static str,
    store: Arc<D>,
    slot: SlotKey,
    inside: Arc<AtomicBool>,
) -> Result<Held, LawBroken> {
    let probe = Probe::new(law, &*store).at(slot);
    let owner = Owner::random();
    let deadline = Probe::<D>::deadline();
    let held = loop {
        match probe.claim(owner, LONG).await? {
            Claim::Granted(held) => break held,
            _ => probe.in_time(deadline, "everybody must get a turn").await?,
        }
    };
    let alone = !inside.swap(true, SeqCst);
    probe.holds(alone, || "two held the slot at the same time".into())?;
    tokio::task::yield_now().await;
    inside.store(false, SeqCst);
    probe.applied(probe.release(&held).await?, "release")?;
    Ok(held)
}

async fn joined<D: DedupStore, T: 'static>(
    probe: &Probe<'_, D>,
    mut tasks: JoinSet<Result<T, LawBroken>>,
) -> Result<Vec<T>, LawBroken> {
    let mut all = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        all.push(joined.map_err(|error| probe.broken(error.to_string()))??);
    }
    Ok(all)
}
