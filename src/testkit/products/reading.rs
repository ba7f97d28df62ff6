//! How bodies become events.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    Samples,
    body::{PLACES, TASK},
    spoil::spoiled,
    trial::{Law, Sample, Trial, said, shown},
};
use crate::{
    InvalidEvent,
    product::{Event, Product},
    testkit::LawBroken,
};

/// The name is a short constant word, the same from every clone and every event.
///
/// What an author gets from it: events stay remembered, because the name is part of the keys in the
/// store, and logs can be searched for it.
///
/// # Errors
///
/// When the law is broken.
pub fn name_is_constant<P: Product>(product: &P, samples: &Samples<'_>) -> Result<(), LawBroken> {
    let trial = Trial::new("name_is_constant", product, samples);
    let name = product.name();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_word = (1..=64).contains(&name.len()) && name.chars().all(is_plain);
    trial.holds(is_word, || {
        format!("the name {name:?} is no word of 1 to 64 letters, digits, `-`, `_` and `.`")
    })?;
    trial.equal(product.clone().name(), name, "the name of a clone")?;
    for sample in trial.callbacks()? {
        let event = trial.read(&sample.what, &sample.body.text())?;
        let what = format!("the name of the product of {}", sample.what);
        trial.equal(event.product().name(), name, &what)?;
    }
    Ok(())
}

/// Each sample is read as the stage that its author says.
///
/// What an author gets from it: the samples of the other laws are what they are taken for.
///
/// # Errors
///
/// When the law is broken.
pub fn every_sample_has_its_stage<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("every_sample_has_its_stage", product, samples);
    for sample in trial.callbacks()? {
        let event = trial.read(&sample.what, &sample.body.text())?;
        trial.equal(event.stage(), sample.stage, &sample.what)?;
    }
    Ok(())
}

/// An event has the very JSON that it was read from.
///
/// What an author gets from it: a handler sees the whole record where a poll found it, and contents
/// that nobody understands are told apart by their bodies.
///
/// # Errors
///
/// When the law is broken.
pub fn an_event_keeps_its_body<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("an_event_keeps_its_body", product, samples);
    for sample in trial.callbacks()? {
        for body in [sample.body.text(), sample.body.retold()] {
            let event = trial.read(&sample.what, &body)?;
            let what = format!("the body of {}", sample.what);
            trial.equal(event.body(), body.as_str(), &what)?;
        }
    }
    Ok(())
}

/// The id is found in each of its four places (`data.taskId`, `data.task_id`, and both beside
/// `data`), and where it stands changes nothing.
///
/// What an author gets from it: events of a provider that moves or respells the id, as the known
/// ones have done, are not lost.
///
/// # Errors
///
/// When the law is broken.
pub fn the_id_is_found_in_four_places<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("the_id_is_found_in_four_places", product, samples);
    for sample in trial.callbacks()? {
        let bare = sample.body.without_ids();
        for place in PLACES {
            let Some(body) = bare.with_id(place, TASK) else {
                continue; // its `data` is no object
            };
            is_of_the_task(&trial, &sample, &body.text(), place)?;
        }
    }
    Ok(())
}

fn is_of_the_task<P: Product>(
    trial: &Trial<'_, P>,
    sample: &Sample,
    body: &str,
    (in_data, key): (bool, &str),
) -> Law {
    let place = if in_data { "data." } else { "" };
    let what = format!("{} with its id in `{place}{key}`", sample.what);
    let as_given = trial.read(&sample.what, &sample.body.text())?;
    let event = trial.read(&what, body)?;
    trial.equal(event.task_id().as_str(), TASK, &what)?;
    trial.equal(event.stage(), sample.stage, &what)?;
    trial.equal(event.result(), as_given.result(), &what)
}

/// Of two ids that differ neither is taken.
///
/// What an author gets from it: nobody passes an event of one task off under the signature of
/// another. It holds for the layer whatever a product does; it can only be broken by an own
/// [`parse`](Product::parse).
///
/// # Errors
///
/// When the law is broken.
pub fn ids_that_differ_are_refused<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("ids_that_differ_are_refused", product, samples);
    for sample in trial.callbacks()? {
        let bare = sample.body.without_ids();
        for (first, second) in pairs() {
            let body = bare.with_id(first, TASK);
            let Some(body) = body.and_then(|body| body.with_id(second, "another-task")) else {
                continue;
            };
            let read = product.parse(body.text()).map(|_| "an event");
            trial.equal(read, Err(InvalidEvent::TaskIdsDiffer), &sample.what)?;
        }
    }
    Ok(())
}

type Place = (bool, &'static str);

fn pairs() -> impl Iterator<Item = (Place, Place)> {
    let all = PLACES.into_iter().flat_map(|a| PLACES.map(|b| (a, b)));
    all.filter(|(a, b)| a != b)
}

/// Reading ends, with an event or a refusal, whatever the body: cut anywhere, with any value in the
/// place of any other, with keys twice, thousands of objects deep, and bent by a chance that is the
/// same in every run. So do all questions to the event.
///
/// What an author gets from it: no sender can end a request of the service in a panic.
///
/// # Errors
///
/// When the law is broken, with the body that breaks it.
pub fn reading_never_panics<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("reading_never_panics", product, samples);
    for_each_spoiled(&trial, |body| {
        let task = trial.task()?;
        let reading = || {
            let callback = product
                .parse(body)
                .map(|event| format!("{:?}", said(&event)));
            let record = product.parse_record(&task, body);
            (callback, record.map(|event| format!("{:?}", said(&event))))
        };
        let read = catch_unwind(AssertUnwindSafe(reading)).map(drop);
        trial.holds(read.is_ok(), || format!("a panic over {}", shown(body)))
    })
}

/// Two readings of one body say the same, whatever the body.
///
/// What an author gets from it: a repetition of an event is one, also in another process and after a
/// restart. A product that looked at a clock, a counter or a table would let it through.
///
/// # Errors
///
/// When the law is broken, with the body that breaks it.
pub fn reading_is_pure<P: Product>(product: &P, samples: &Samples<'_>) -> Result<(), LawBroken> {
    let trial = Trial::new("reading_is_pure", product, samples);
    for_each_spoiled(&trial, |body| {
        let read = || product.parse(body).map(|event| said(&event));
        let (first, second) = (read(), read());
        trial.holds(first == second, || {
            let body = shown(body);
            format!("{body} is {first:?}, and read again {second:?}")
        })
    })
}

fn for_each_spoiled<P: Product>(trial: &Trial<'_, P>, mut check: impl FnMut(&[u8]) -> Law) -> Law {
    let callbacks = trial.callbacks()?.into_iter();
    for sample in callbacks.chain(trial.records()?) {
        for body in spoiled(&sample.body.text()) {
            check(&body)?;
        }
    }
    Ok(())
}
