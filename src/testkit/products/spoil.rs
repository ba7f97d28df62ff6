//! What broken senders and hostile ones make of a body.

use serde_json::{Value, json};

use super::{body::Body, chance::Chance};

/// How many bodies chance makes of one.
const BY_CHANCE: usize = 150;

/// Of a longer body not every beginning is tried.
const BEGINNINGS: usize = 200;

/// All of them, the sample first.
pub(super) fn spoiled(sample: &str) -> Vec<Vec<u8>> {
    let mut all = vec![sample.into()];
    all.extend(beginnings(sample));
    if let Some(body) = Body::of(sample) {
        all.extend(body.spoiled(&odd).iter().map(|it| it.text().into()));
        let repeated = body.with_keys_repeated();
        all.extend(repeated.iter().map(|it| it.text().into()));
    }
    all.extend(deep());
    all.extend(by_chance(sample.as_bytes()));
    all
}

fn beginnings(sample: &str) -> impl Iterator<Item = Vec<u8>> {
    let step = (sample.len() / BEGINNINGS).max(1);
    let ends = (0..sample.len()).step_by(step);
    ends.filter_map(|end| sample.as_bytes().get(..end).map(Vec::from))
}

/// What may stand in the place of a value.
fn odd(_: &Value) -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(200),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1.5e300),
        json!(""),
        json!(" "),
        json!("success"),
        json!("fail"),
        json!("{\"data\":[{\"id\":null}],\"resultUrls\":[1]}"),
        json!("\u{0}\u{202e}\u{fffd}\""),
        json!("x".repeat(3000)),
        json!([]),
        json!([null, [], {}, "", 0]),
        json!({}),
        json!({"taskId": "other", "status": {}, "": ""}),
        nested(60),
    ]
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |inner, _| json!([{ "data": inner }]))
}

/// Deeper than any reader should follow.
fn deep() -> impl Iterator<Item = Vec<u8>> {
    [("[", "]"), ("{\"data\":", "}")]
        .into_iter()
        .map(|(open, close)| {
            let (open, close) = (open.repeat(2_000), close.repeat(2_000));
            format!("{{\"taskId\":\"t\",\"data\":{open}null{close}}}").into()
        })
}

fn by_chance(sample: &[u8]) -> Vec<Vec<u8>> {
    let mut chance = Chance::new();
    let mutation = |_| {
        let mut bytes = sample.to_vec();
        for _ in 0..=chance.below(3) {
            mutate(&mut bytes, &mut chance);
        }
        bytes
    };
    (0..BY_CHANCE).map(mutation).collect()
}

fn mutate(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let (from, to) = (chance.below(bytes.len()), chance.below(bytes.len()));
    let byte = match chance.below(2) {
        0 => chance.below(256),
        _ => usize::from(*b"\"\\{}[]:,0u-e".get(chance.below(12)).unwrap_or(&b'"')),
    };
    let byte = u8::try_from(byte).unwrap_or_default();
    match chance.below(4) {
        0 if from < bytes.len() => drop(bytes.splice(from..=from, [byte])),
        1 => bytes.insert(from, byte),
        2 if from < to => drop(bytes.drain(from..to)),
        _ => {
            let part = bytes.get(from.min(to)..from.max(to)).map(Vec::from);
            bytes.splice(to..to, part.unwrap_or_default());
        }
    }
}
