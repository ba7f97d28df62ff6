//! What the provider's API says, beside what it called back with.

use super::{
    Samples,
    body::TASK,
    trial::{Law, Sample, Trial},
};
use crate::{
    InvalidEvent,
    product::{Event, Product},
    testkit::LawBroken,
};

/// A record means what the callback of the same stage means, with the same result; its `code` is the
/// API's and changes nothing. It may name no task, and must name no other.
///
/// What an author gets from it: callback and poll together deliver once, and a success that is
/// confirmed is no conflict.
///
/// # Errors
///
/// When the law is broken.
pub fn records_agree_with_callbacks<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("records_agree_with_callbacks", product, samples);
    if let Some(path) = product.record_path() {
        let is_path = path.starts_with('/') && !path.contains(['?', '#', ' ']);
        trial.holds(is_path, || format!("{path:?} is no path"))?;
    }
    for record in trial.records()? {
        agrees(&trial, &record)?;
        names_no_other_task(&trial, &record)?;
    }
    Ok(())
}

fn agrees<P: Product>(trial: &Trial<'_, P>, record: &Sample) -> Law {
    let is_same = |it: &Sample| it.stage == record.stage;
    let callback = trial.callbacks()?.into_iter().find(is_same);
    let callback = callback.map(|it| trial.read(&it.what, &it.body.text()));
    let callback = callback.transpose()?;
    let bodies = [
        record.body.clone(),
        record.body.with_code(505),
        record.body.without_ids(),
    ];
    for body in bodies {
        let event = trial.read_record(&record.what, &body.text())?;
        trial.equal(event.task_id().as_str(), TASK, &record.what)?;
        trial.equal(event.stage(), record.stage, &record.what)?;
        if let Some(callback) = &callback {
            let said = (event.result(), event.variant());
            let must = (callback.result(), callback.variant());
            trial.equal(
                said,
                must,
                &format!("result and variant of {}", record.what),
            )?;
        }
    }
    Ok(())
}

fn names_no_other_task<P: Product>(trial: &Trial<'_, P>, record: &Sample) -> Law {
    let other = record
        .body
        .without_ids()
        .with_id((true, "taskId"), "another-task");
    let Some(other) = other else {
        return Ok(()); // its `data` is no object
    };
    let read = trial.product.parse_record(&trial.task()?, other.text());
    let what = format!("{} of another task", record.what);
    let must = Err(InvalidEvent::TaskIdsDiffer);
    trial.equal(read.map(|_| "an event"), must, &what)
}
