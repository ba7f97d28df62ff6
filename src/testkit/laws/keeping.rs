//! What a done slot keeps, and for how long.

use std::{sync::Arc, time::Duration};

use super::{
    LawBroken,
    probe::{LONG, Probe, SHORT, record, slot},
};
use crate::{
    DedupStore,
    store::{Claim, Held, Owner, Record, SlotKey},
};

/// Done is done, whoever asks and whatever they try, also when the lease under which it was
/// committed has ended.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn done_is_absorbing<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("done_is_absorbing", &**store);
    let (owner, stranger) = (Owner::random(), Owner::random());
    let first = record(b"the first");
    let held = probe.granted(owner, SHORT, "free slot").await?;
    probe.applied(probe.commit(&held, &first).await?, "commit")?;

    for who in [owner, stranger] {
        let theirs = Held::new(who, held.fence(), held.attempt());
        let settled = probe.release(&theirs).await?;
        probe.lost(settled, "release of a done slot")?;
        let settled = probe.renew(&theirs, LONG).await?;
        probe.lost(settled, "renewal of a done slot")?;
        probe.is_done(who, &first, "claim of a done slot").await?;
    }
    let theirs = Held::new(stranger, held.fence() + 1, 2);
    let settled = probe.commit(&theirs, &record(b"another")).await?;
    probe.lost(settled, "a stranger's commit of a done slot")?;

    probe.short_leases_end().await?;
    let why = "claim of a done slot whose lease has ended";
    probe.is_done(stranger, &first, why).await?;
    probe.equal(&probe.peek().await?, &Some(first), "peek")
}

/// A peek sees a record only when the slot is done: not when it is free, held, ended or released.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn peek_shows_done_alone<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("peek_shows_done_alone", &**store);
    probe.equal(&probe.peek().await?, &None, "peek at a free slot")?;
    let held = probe.granted(Owner::random(), SHORT, "free slot").await?;
    probe.equal(&probe.peek().await?, &None, "peek at a held slot")?;
    probe.short_leases_end().await?;
    probe.equal(&probe.peek().await?, &None, "peek at an ended claim")?;
    probe.applied(probe.release(&held).await?, "release")?;
    probe.equal(&probe.peek().await?, &None, "peek at a released slot")?;
    let held = probe
        .granted(Owner::random(), LONG, "released slot")
        .await?;
    let done = record(b"done");
    probe.applied(probe.commit(&held, &done).await?, "commit")?;
    probe.equal(&probe.peek().await?, &Some(done), "peek at a done slot")
}

/// A done slot is free again when its retention has ended, and not before.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn retention_ends<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("retention_ends", &**store);
    let kept = probe.at(slot());
    let done = record(b"done");
    let held = kept.granted(Owner::random(), SHORT, "free slot").await?;
    probe.applied(kept.commit_for(&held, &done, LONG).await?, "commit")?;
    let held = probe.granted(Owner::random(), LONG, "free slot").await?;
    let settled = probe.commit_for(&held, &done, SHORT).await?;
    probe.applied(settled, "commit")?;

    let deadline = Probe::<D>::deadline();
    while probe.peek().await?.is_some() {
        probe
            .in_time(deadline, "a retention of 100 ms must end")
            .await?;
    }
    let next = probe
        .granted(Owner::random(), LONG, "retention has ended")
        .await?;
    probe.is_in_flight("claimed after its retention").await?;
    probe.lost(
        probe.commit(&held, &done).await?,
        "commit by the holder before",
    )?;
    probe.applied(probe.commit(&next, &done).await?, "second commit")?;
    probe.equal(
        &kept.peek().await?,
        &Some(done),
        "peek within the retention",
    )
}

/// A retention of [`Duration::MAX`] means for ever, and is no error.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn endless_retention_is_granted<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("endless_retention_is_granted", &**store);
    let held = probe.granted(Owner::random(), LONG, "free slot").await?;
    let done = record(b"done");
    let settled = probe.commit_for(&held, &done, Duration::MAX).await?;
    probe.applied(settled, "commit for ever")?;
    probe.equal(&probe.peek().await?, &Some(done), "peek")?;
    probe.is_done(Owner::random(), &done, "claim").await
}

/// A record comes back as it was: none, one and 64 bytes, any bytes.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn records_round_trip<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let law = "records_round_trip";
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let full = every.chunks(Record::MAX_LEN).map(record);
    let short = [&b""[..], b"\0", b"\xff", b"'\"\\", b"\0\0\0"].map(record);
    for bytes in short.into_iter().chain(full) {
        let probe = Probe::new(law, &**store);
        let held = probe.granted(Owner::random(), LONG, "free slot").await?;
        probe.applied(probe.commit(&held, &bytes).await?, "commit")?;
        probe.equal(&probe.peek().await?, &Some(bytes), "peeked record")?;
        probe
            .is_done(Owner::random(), &bytes, "claimed record")
            .await?;
    }
    Ok(())
}

/// Names and owners are bytes, all of them: NUL, 0xff, quotes, and neighbours that differ in one.
///
/// # Errors
///
/// When the law is broken, or the store fails.
pub async fn keys_are_opaque<D: DedupStore>(store: &Arc<D>) -> Result<(), LawBroken> {
    let probe = Probe::new("keys_are_opaque", &**store);
    let slots: Vec<_> = odd_slots().into_iter().map(|slot| probe.at(slot)).collect();
    for (number, slot) in (0_u8..).zip(&slots) {
        let owner = odd_owner(number);
        let held = match slot.claim(owner, LONG).await? {
            Claim::Granted(held) => held,
            other => return Err(slot.broken(format!("{:?} was {other:?}", slot.slot))),
        };
        probe.equal(&held.owner(), &owner, "owner")?;
        let settled = slot.commit(&held, &record(&[number])).await?;
        probe.applied(settled, "commit")?;
    }
    for (number, slot) in (0_u8..).zip(&slots) {
        let what = format!("record of {:?}", slot.slot);
        probe.equal(&slot.peek().await?, &Some(record(&[number])), &what)?;
    }
    Ok(())
}

fn odd_slots() -> Vec<SlotKey> {
    let odd = *b"\0\xff'\"\\%\n\r{}:*? \x7f\x80";
    let random = *slot().as_bytes();
    let with = |places: &[usize], byte: u8| {
        let mut bytes = random;
        for (place, target) in bytes.iter_mut().enumerate() {
            *target = if places.contains(&place) {
                byte
            } else {
                *target
            };
        }
        SlotKey::from(bytes)
    };
    let first_half: Vec<usize> = (0..16).collect();
    let last_half: Vec<usize> = (16..32).collect();
    let places = [&[0][..], &[15], &[31], &first_half, &last_half];
    let slots = places.iter().flat_map(|at| odd.map(|byte| with(at, byte)));
    let mut distinct: Vec<SlotKey> = slots.collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

fn odd_owner(number: u8) -> Owner {
    match number % 3 {
        0 => Owner::from([0; 16]),
        1 => Owner::from([0xff; 16]),
        _ => Owner::random(),
    }
}
