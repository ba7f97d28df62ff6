//! What an event shows of itself.

use serde_json::Value;

use super::{
    Samples,
    body::Body,
    trial::{Law, Trial, shown},
};
use crate::{
    product::{Event, Product},
    testkit::LawBroken,
};

/// What no log should have in it: what ends a line, colours a terminal, or turns the text around.
const HOSTILE: &str = "\u{202e}\u{2066}\u{200b}\n\r\u{0}\u{7}\u{1b}[31m";

/// How much of one text `Debug` may show.
const LONGEST: usize = 1024;

/// `Debug` shows what the provider or an attacker wrote escaped, and of a long text a part: whatever
/// text of a body is hostile.
///
/// What an author gets from it: events can be logged with `{:?}`, and nobody writes lines of his own
/// into the log or fills it.
///
/// # Errors
///
/// When the law is broken.
pub fn hostile_text_is_escaped<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("hostile_text_is_escaped", product, samples);
    let long = "a".repeat(LONGEST);
    let change = |value: &Value| match value.as_str() {
        Some(text) => vec![
            HOSTILE.into(),
            format!("{text}{HOSTILE}").into(),
            format!("{text}{long}").into(),
        ],
        None => Vec::new(),
    };
    let mut bodies = Vec::new();
    for sample in trial.callbacks()? {
        bodies.extend(sample.body.changed(&change));
        // An id may have everything but control characters.
        bodies.push(sample.body.about("task\u{202e}\u{2066}"));
    }
    bodies
        .iter()
        .try_for_each(|body| shows_no_harm(&trial, body))
}

fn shows_no_harm<P: Product>(trial: &Trial<'_, P>, body: &Body) -> Law {
    let body = body.text();
    let event = trial.read("hostile text", &body)?;
    let debug = format!("{event:?}");
    let raw = debug.chars().find(|char| is_raw(*char));
    trial.holds(raw.is_none(), || {
        format!("{raw:?} is shown raw of {}", shown(&body))
    })?;
    trial.holds(!debug.contains(&"a".repeat(LONGEST)), || {
        format!(
            "a text of more than {LONGEST} bytes is shown whole of {}",
            shown(&body)
        )
    })
}

fn is_raw(char: char) -> bool {
    char.is_control() || HOSTILE.contains(char) && !char.is_ascii()
}

/// `Debug` shows no link, and none of a success's [results](Event::results) that is one.
///
/// What an author gets from it: who reads the logs cannot fetch what was made, because the links of
/// the provider ask for no key.
///
/// # Errors
///
/// When the law is broken.
pub fn links_are_not_shown<P: Product>(
    product: &P,
    samples: &Samples<'_>,
) -> Result<(), LawBroken> {
    let trial = Trial::new("links_are_not_shown", product, samples);
    for sample in trial.callbacks()? {
        let event = trial.read(&sample.what, &sample.body.text())?;
        let shown = format!("{event:?}");
        let is_link = |text: &String| text.contains("://");
        let links = event.results().into_iter().filter(is_link);
        let is_shown = shown.contains("://") || links.into_iter().any(|it| shown.contains(&it));
        trial.holds(!is_shown, || {
            format!("a link of {} is shown: {shown}", sample.what)
        })?;
    }
    Ok(())
}
