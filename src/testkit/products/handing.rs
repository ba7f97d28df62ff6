//! What reaches a handler through a real layer.

use http::StatusCode;

use super::{
    Samples,
    body::Body,
    chance::Chance,
    meaning::forged,
    receiver::{ACCEPTED, Answered, Receiver},
    trial::{Law, Sample, Trial, shown},
};
use crate::{
    Disposition,
    product::{Product, Stage},
    testkit::LawBroken,
};

const DUPLICATE: Answered = (StatusCode::OK, Some(Disposition::Duplicate));
const LATE: Answered = (StatusCode::OK, Some(Disposition::Late));
const CONFLICT: Answered = (StatusCode::OK, Some(Disposition::Conflict));

/// Larger than any provider's body, and small enough to be made.
const ABSURD: usize = 64 * 1024 * 1024;

/// How many orders are tried of stages that have more.
const ORDERS: usize = 120;

/// In any order, each stage is handed over once: none waits for another, and none is taken for
/// another. What is sent again is answered and not handed over.
///
/// What an author gets from it: a provider that delivers `complete` before `first` loses nothing.
/// Two samples of progress that share a slot break this law; where they are two events, their names
/// or their [variants](crate::product::Event::variant) must differ.
///
/// # Errors
///
/// When the law is broken.
pub async fn stages_come_in_any_order<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("stages_come_in_any_order", product, samples);
    let mut stages = trial.progress()?;
    stages.push(trial.failure()?);
    let success = trial.success()?;
    let mut chance = Chance::new();
    let orders = (1..=stages.len()).product::<usize>().min(ORDERS) * 2;
    for _ in 0..orders {
        chance.shuffle(&mut stages);
        let receiver = Receiver::new(&trial)?;
        for sample in stages.iter().chain([&success]) {
            let body = sample.body.text();
            let answers = [receiver.send(body.clone()).await, receiver.send(body).await];
            let what = format!("{}, twice, after {:?}", sample.what, receiver.handed());
            trial.equal(answers, [ACCEPTED, DUPLICATE], &what)?;
        }
        let sent = stages.iter().map(|it| it.stage).chain([Stage::Success]);
        trial.equal(receiver.handed(), sent.collect(), "what was handed over")?;
    }
    Ok(())
}

/// An event that is told again in other words (another order of keys, blanks, and a key that nobody
/// knows) is the same event. Holds for every product but those whose samples are
/// [`told_apart_by_body`](Samples::told_apart_by_body).
///
/// What an author gets from it: a provider that repeats itself from another server runs no handler
/// again.
///
/// # Errors
///
/// When the law is broken.
pub async fn a_retold_event_is_a_duplicate<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("a_retold_event_is_a_duplicate", product, samples);
    if samples.by_body {
        return Ok(());
    }
    for sample in trial.callbacks()? {
        let receiver = Receiver::new(&trial)?;
        let first = receiver.send(sample.body.text()).await;
        let again = receiver.send(sample.body.retold()).await;
        let what = format!("{}, and the same in other words", sample.what);
        trial.equal([first, again], [ACCEPTED, DUPLICATE], &what)?;
        trial.equal(receiver.handed(), vec![sample.stage], &what)?;
    }
    Ok(())
}

/// Once a task has succeeded, its other stages, what contradicts itself and what is unknown are
/// answered with 200 and not handed over. Holds for every product but those whose samples are
/// [`told_apart_by_body`](Samples::told_apart_by_body).
///
/// What an author gets from it: no late failure and no late progress undoes a success.
///
/// # Errors
///
/// When the law is broken.
pub async fn nothing_follows_a_success<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("nothing_follows_a_success", product, samples);
    if samples.by_body {
        return Ok(());
    }
    let receiver = Receiver::new(&trial)?;
    let success = trial.success()?;
    let first = receiver.send(success.body.text()).await;
    trial.equal(first, ACCEPTED, &success.what)?;
    let mut others = trial.progress()?;
    others.push(trial.failure()?);
    for sample in others {
        let late = receiver.send(sample.body.text()).await;
        trial.equal(late, LATE, &format!("{} after the success", sample.what))?;
    }
    for body in trial.unknown()? {
        let late = receiver.send(body.text()).await;
        trial.equal(late, LATE, "unknown content after the success")?;
    }
    let handed = receiver.handed();
    trial.equal(handed, vec![Stage::Success], "what was handed over")
}

/// A second success with another result is answered with 200, reported as a conflict, and not handed
/// over. Holds for products whose successes have a [result](crate::product::Event::result), and not
/// for those whose samples are [`told_apart_by_body`](Samples::told_apart_by_body).
///
/// What an author gets from it: the body is not signed, so one of the two may be forged, and the
/// application learns of it.
///
/// # Errors
///
/// When the law is broken; also when no text or number of the sample changes its result.
pub async fn another_result_is_a_conflict<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("another_result_is_a_conflict", product, samples);
    if samples.by_body {
        return Ok(());
    }
    let Some(forged) = forged(&trial)? else {
        return Ok(());
    };
    let receiver = Receiver::new(&trial)?;
    let first = receiver.send(trial.success()?.body.text()).await;
    let second = receiver.send(forged.text()).await;
    trial.equal([first, second], [ACCEPTED, CONFLICT], "two successes")?;
    let seen = (receiver.handed(), receiver.conflicts());
    let must = (vec![Stage::Success], vec![Stage::Success]);
    trial.equal(seen, must, "what was handed over, and what was reported")
}

/// What means nothing to the product is handed over as what it is, with 200, once for each content.
///
/// What an author gets from it: a provider that changes its format loses no event and gives up no
/// callback, and the handler may ask.
///
/// # Errors
///
/// When the law is broken.
pub async fn unknown_content_is_handed_over<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("unknown_content_is_handed_over", product, samples);
    let unknown = trial.unknown()?;
    let receiver = Receiver::new(&trial)?;
    for body in unknown.iter().map(Body::text) {
        let answers = [
            receiver.send(body.clone()).await,
            receiver.send(body.clone()).await,
        ];
        let what = format!("unknown content, twice: {}", shown(&body));
        trial.equal(answers, [ACCEPTED, DUPLICATE], &what)?;
    }
    let handed = receiver.handed();
    let is_unknown = |stage: &Stage| matches!(stage, Stage::Unknown | Stage::Inconsistent { .. });
    trial.holds(handed.iter().all(is_unknown), || {
        format!("unknown content was handed over as {handed:?}")
    })
}

/// A body of exactly [`body_limit`](Product::body_limit) bytes is taken, and one byte more is
/// answered with 413 and reaches no handler. The limit is a limit: at most 64 MiB.
///
/// What an author gets from it: no genuine callback is too large for him, and no sender fills his
/// memory. Give as the success the largest that you know.
///
/// # Errors
///
/// When the law is broken.
pub async fn a_body_at_the_limit_is_taken<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("a_body_at_the_limit_is_taken", product, samples);
    let limit = product.body_limit();
    trial.holds(limit <= ABSURD, || format!("{limit} bytes are no limit"))?;
    for sample in trial.callbacks()? {
        fits(&trial, &sample, limit).await?;
    }
    Ok(())
}

async fn fits<P: Product>(trial: &Trial<'_, P>, sample: &Sample, limit: usize) -> Law {
    let body = sample.body.text();
    let blanks = limit.checked_sub(body.len());
    let too_small = || trial.broken(format!("{} is over the limit of {limit}", sample.what));
    let full = body + &" ".repeat(blanks.ok_or_else(too_small)?);
    let receiver = Receiver::new(trial)?;
    let (status, _) = receiver.send(format!("{full} ")).await;
    let what = format!("{} with {limit} bytes and one more", sample.what);
    trial.equal(status, StatusCode::PAYLOAD_TOO_LARGE, &what)?;
    trial.equal(receiver.handed(), Vec::new(), &what)?;
    let at_the_limit = receiver.send(full).await;
    let what = format!("{} with {limit} bytes", sample.what);
    trial.equal(at_the_limit, ACCEPTED, &what)
}
