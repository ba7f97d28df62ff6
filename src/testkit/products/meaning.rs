//! What an event may be taken for.

use serde_json::Value;

use super::{
    Samples,
    body::{Body, other},
    trial::{Law, Sample, Trial, shown},
};
use crate::{
    product::{Event, Product, Stage},
    testkit::LawBroken,
};

/// No success stands against its code: with 400, 422, 500, 501 or 531, as a number or as a text, it
/// is none. Holds for every product but those whose samples are
/// [`without_code`](Samples::without_code).
///
/// What an author gets from it: an end has two witnesses, because each alone was seen to lie.
///
/// # Errors
///
/// When the law is broken.
pub fn a_denied_success_is_no_success<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("a_denied_success_is_no_success", product, samples);
    if !samples.code_counts {
        return Ok(());
    }
    let success = trial.success()?.body;
    let numbers = [400, 422, 500, 501, 531].map(Value::from);
    for code in numbers.into_iter().chain(["501".into()]) {
        let what = format!("the success under code {code}");
        let event = trial.read(&what, &success.with_code(code).text())?;
        is_no_success(&trial, &event, &what)?;
    }
    Ok(())
}

/// A failure brings no result, so under no code it is a success.
///
/// What an author gets from it: a failure whose code says 200, as was met, is not sold as done.
///
/// # Errors
///
/// When the law is broken.
pub fn a_failure_is_no_success<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("a_failure_is_no_success", product, samples);
    let failure = trial.failure()?.body;
    for code in [Value::from(200), "200".into(), 0.into(), Value::Null] {
        let what = format!("the failure under code {code}");
        let event = trial.read(&what, &failure.with_code(code).text())?;
        is_no_success(&trial, &event, &what)?;
    }
    Ok(())
}

fn is_no_success<P: Product>(trial: &Trial<'_, P>, event: &P::Event, what: &str) -> Law {
    trial.holds(event.stage() != Stage::Success, || {
        format!("{what} is a success")
    })
}

/// A key that is there twice, at the top or in `data`, gives a success no other result: its second
/// value is not taken, or there is no success any more.
///
/// What an author gets from it: what he reads is what every other reader of the same body reads. Ask
/// [`Scanned::is_ambiguous`](crate::product::Scanned::is_ambiguous).
///
/// # Errors
///
/// When the law is broken.
pub fn a_repeated_key_changes_no_result<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("a_repeated_key_changes_no_result", product, samples);
    let success = trial.success()?;
    let as_given = trial.read(&success.what, &success.body.text())?;
    for body in success.body.with_keys_repeated() {
        let body = body.text();
        let event = trial.read("a success with a key twice", &body)?;
        let is_same = event.result() == as_given.result();
        trial.holds(is_same || event.stage() != Stage::Success, || {
            format!(
                "a success with another result is read from {}",
                shown(&body)
            )
        })?;
    }
    Ok(())
}

/// With a word that nobody has heard of in the place of any of its texts, a success stays one (the
/// text was no witness), contradicts itself, or is unknown: it is no failure and no progress. And
/// progress is then neither a success nor a failure.
///
/// What an author gets from it: the day on which the provider adds a status ends no task.
///
/// # Errors
///
/// When the law is broken.
pub fn a_new_word_ends_no_task<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("a_new_word_ends_no_task", product, samples);
    let success = trial.success()?;
    each_new_word(&trial, &success, |stage| {
        !matches!(stage, Stage::Failure | Stage::Progress { .. })
    })?;
    for progress in trial.progress()? {
        each_new_word(&trial, &progress, |stage| {
            !matches!(stage, Stage::Success | Stage::Failure)
        })?;
    }
    Ok(())
}

fn each_new_word<P: Product>(
    trial: &Trial<'_, P>,
    sample: &Sample,
    may_be: impl Fn(Stage) -> bool,
) -> Law {
    let new_word = |value: &Value| match value.as_str() {
        Some(text) if !text.is_empty() => vec!["unheard_of".into()],
        _ => Vec::new(),
    };
    for body in sample.body.changed(&new_word) {
        let body = body.text();
        let stage = trial.read(&sample.what, &body)?.stage();
        trial.holds(may_be(stage), || {
            format!(
                "{} with a new word is {stage:?}: {}",
                sample.what,
                shown(&body)
            )
        })?;
    }
    Ok(())
}

/// A success and a failure are final.
///
/// What an author gets from it: outcomes have their rights. They are remembered for days, and no
/// flood of other claims about their task keeps them out.
///
/// # Errors
///
/// When the law is broken.
pub fn an_end_is_final<P: Product>(product: &P, samples: &Samples<'_>) -> Result<(), LawBroken> {
    let trial = Trial::new("an_end_is_final", product, samples);
    for sample in [trial.success()?, trial.failure()?] {
        let event = trial.read(&sample.what, &sample.body.text())?;
        trial.holds(event.is_final(), || format!("{} is not final", sample.what))?;
    }
    Ok(())
}

/// A failure, what contradicts itself, and what is unknown have no results.
///
/// What an author gets from it: whoever downloads what [`Event::results`] names downloads nothing
/// that something denies.
///
/// # Errors
///
/// When the law is broken.
pub fn a_failure_has_no_results<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("a_failure_has_no_results", product, samples);
    let mut bodies = vec![trial.failure()?.body.text()];
    bodies.extend(trial.unknown()?.iter().map(Body::text));
    // What claims success and is none has what a success would bring.
    let success = trial.success()?.body;
    bodies.push(success.with_code(500).text());
    for body in bodies {
        let event = trial.read("what is no success", &body)?;
        let may_have = matches!(event.stage(), Stage::Success | Stage::Progress { .. });
        trial.holds(may_have || event.results().is_empty(), || {
            format!("{:?} has results: {}", event.stage(), shown(&body))
        })?;
    }
    Ok(())
}

/// What means nothing is unknown, or contradicts itself, and two different such contents have two
/// different [variants](Event::variant).
///
/// What an author gets from it: none of them is swallowed as the repetition of another.
///
/// # Errors
///
/// When the law is broken.
pub fn unknown_contents_differ<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("unknown_contents_differ", product, samples);
    let mut variants: Vec<(Stage, String)> = Vec::new();
    for body in trial.unknown()? {
        let body = body.text();
        let event = trial.read("unknown content", &body)?;
        let stage = event.stage();
        let is_unknown = matches!(stage, Stage::Unknown | Stage::Inconsistent { .. });
        trial.holds(is_unknown, || {
            format!("{stage:?} is read from {}", shown(&body))
        })?;
        let variant = (stage, event.variant().to_owned());
        trial.holds(!variants.contains(&variant), || {
            format!("the variant of {} is that of another content", shown(&body))
        })?;
        variants.push(variant);
    }
    Ok(())
}

/// The sample's success with another result; `None` where its results always agree.
pub(super) fn forged<P: Product>(trial: &Trial<'_, P>) -> Result<Option<Body>, LawBroken> {
    let success = trial.success()?;
    let first = trial.read(&success.what, &success.body.text())?;
    if first.result().is_none() {
        return Ok(None);
    }
    let copies = success.body.changed(&|value| match value {
        Value::String(_) | Value::Number(_) => other(value).into_iter().collect(),
        _ => Vec::new(),
    });
    let forged = copies.into_iter().find(|body| {
        let event = trial.product.parse(body.text());
        let is_other =
            |it: &P::Event| it.stage() == Stage::Success && it.result() != first.result();
        event.is_ok_and(|event| is_other(&event))
    });
    let constant = || trial.broken("no text or number of the success changes its result");
    forged.map(Some).ok_or_else(constant)
}
