//! Damaged fixtures: whatever comes out, it is no panic, and it is the same each time.

use crate::{
    fixtures::{CALLBACKS, RECORDS, task_of},
    said::{PRODUCTS, callback, fixture, record},
};

const ROUNDS: usize = 60;

const TOKENS: [&str; 14] = [
    "null",
    "[]",
    "{}",
    "0",
    "-1",
    "1e999",
    "\"\"",
    "\"\\ud83c\"",
    "true",
    "200",
    "\"success\"",
    ",",
    "\"taskId\":",
    "\u{0}",
];

#[test]
fn no_damage_makes_a_reading_panic() {
    let mut chance = Chance(0x5eed);
    let mut read = 0_usize;
    for (name, ..) in CALLBACKS.iter().chain(RECORDS) {
        let body = fixture(name);
        let task = task_of(&body);
        for _ in 0..ROUNDS {
            let damaged = damaged(body.as_bytes(), &mut chance);
            for product in PRODUCTS {
                let once = callback(product, &damaged).map(|said| format!("{said:?}"));
                let again = callback(product, &damaged).map(|said| format!("{said:?}"));
                assert_eq!(once, again, "{name}");
                read += usize::from(once.is_ok());
                let _ = record(product, &task, &damaged);
            }
        }
    }
    assert!(read > 1_000, "too little is read to say anything: {read}");
}

fn damaged(body: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut body = body.to_vec();
    for _ in 0..=chance.below(3) {
        let at = chance.below(body.len());
        match chance.below(5) {
            0 => body[at] = chance.below(256) as u8,
            1 => drop(body.remove(at)),
            2 => value(&mut body, at, TOKENS[chance.below(TOKENS.len())]),
            3 => value(&mut body, at, TOKENS[chance.below(TOKENS.len())]),
            _ => {
                let end = (at + chance.below(40)).min(body.len());
                let piece = body[at..end].to_vec();
                let to = chance.below(body.len());
                body.splice(to..to, piece);
            }
        }
        if body.len() < 2 {
            break;
        }
    }
    body
}

/// Puts a token in the place of the value behind the next colon.
fn value(body: &mut Vec<u8>, at: usize, token: &str) {
    let behind = |from: usize, bytes: &[u8], stops: &[u8]| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter()
            .position(|byte| stops.contains(byte))
            .map(|at| from + at)
    };
    if let Some(start) = behind(at, body, b":")
        && let Some(end) = behind(start, body, b",}]")
    {
        body.splice(start + 1..end, token.bytes());
    }
}

/// A generator of its own, so that a failure repeats.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}
