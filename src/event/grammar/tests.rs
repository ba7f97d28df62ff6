//! What `serde_json` takes is the grammar: this one takes the same, and reads the same of it.

use serde_json::value::RawValue;

use super::*;
use crate::event::in_every_order::in_every_order;

/// A whole text that is one value, without the blanks around it.
fn read(text: &str) -> Option<&str> {
    let json = Grammar(text);
    let start = json.blanks(0);
    let end = json.value(start).ok()?;
    (json.blanks(end) == text.len()).then(|| &text[start..end])
}

fn assert_same(text: &str) {
    let expected = serde_json::from_str::<&RawValue>(text).ok();
    let expected = expected.map(RawValue::get);
    assert_eq!(read(text), expected, "{text:?}");
    if let Some(string) = expected.filter(|json| json.starts_with('"')) {
        let (quoted, end) = Grammar(string).quoted(0).expect("a string");
        assert_eq!(end, string.len());
        let expected = serde_json::from_str::<String>(string).ok();
        assert_eq!(quoted.text().as_deref(), expected.as_deref(), "{text:?}");
    }
}

/// Every text of up to `longest` of these parts, between a beginning and an end.
fn assert_same_in_every_order(parts: &[&str], longest: u32, ends: [&str; 2]) {
    let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
    for text in in_every_order(&parts, longest, ends.map(str::as_bytes)) {
        assert_same(str::from_utf8(&text).expect("of texts"));
    }
}

#[test]
fn every_short_text_is_read_as_serde_reads_it() {
    let any = [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "u", "0", "-", "1", ".", "e", "+", "null",
        "true", "false", "nul", " ", "\n", "\t", "\u{b}", "\u{1}", "é", "\u{feff}", "\u{0}", "'",
    ];
    assert_same_in_every_order(&any, 3, ["", ""]);
}

#[test]
fn every_short_nesting_is_read_as_serde_reads_it() {
    let nesting = ["{", "}", "[", "]", ",", "\"a\":", "1"];
    assert_same_in_every_order(&nesting, 6, ["", ""]);
    assert_same_in_every_order(&nesting, 5, ["{\"a\":[", "]}"]);
}

#[test]
fn every_short_number_is_read_as_serde_reads_it() {
    let number = ["0", "1", "-", ".", "e", "E", "+"];
    assert_same_in_every_order(&number, 6, ["", ""]);
    assert_same_in_every_order(&number, 4, ["[1,", "0]"]);
}

#[test]
fn every_short_string_is_read_as_serde_reads_it() {
    let string = [
        "\\", "\"", "u", "ud83c", "udfa4", "uD800", "u0000", "u005C", "u00g0", "n", "/", "x", "é",
        "\n", "\u{7f}", "\u{1f}",
    ];
    assert_same_in_every_order(&string, 4, ["\"", "\""]);
    for escaped in 0..=0x7f_u8 {
        assert_same(&format!("\"\\{}\"", char::from(escaped)));
    }
}

#[test]
fn what_is_deep_is_skipped_without_an_end_of_the_stack() {
    let deep = "[{\"a\":".repeat(1 << 18) + "1" + &"}]".repeat(1 << 18);
    assert_eq!(read(&deep), Some(&*deep));
    assert_eq!(read(&deep[..deep.len() - 1]), None);
}

#[test]
fn every_bracket_is_ended_by_its_own_however_deep_it_is() {
    for depth in 1..=140 {
        let begin: String = (0..depth).map(|n| ["[", "{\"a\":", "["][n % 3]).collect();
        let end: String = (0..depth).rev().map(|n| ["]", "}", "]"][n % 3]).collect();
        assert_same(&format!("{begin}1{end}"));
        for at in 0..depth {
            let other = if &end[at..=at] == "]" { "}" } else { "]" };
            assert_same(&format!("{begin}1{}{other}{}", &end[..at], &end[at + 1..]));
        }
    }
}

#[test]
fn a_damaged_body_is_read_as_serde_reads_it() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for body in [
        include_str!("../../../tests/fixtures/job-success.json"),
        include_str!("../../../tests/fixtures/midi-success.json"),
        include_str!("../../../tests/fixtures/mp4-failed-kie.json"),
    ] {
        assert_same(body);
        for _ in 0..2_000 {
            assert_same(&damaged(body, &mut random));
        }
    }
}

/// Some bytes elsewhere, some gone, some others.
fn damaged(body: &str, random: &mut fastrand::Rng) -> String {
    let mut bytes = body.as_bytes().to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..bytes.len());
        match random.u8(..3) {
            0 => bytes.truncate(at.max(1)),
            1 => drop(bytes.remove(at)),
            _ => bytes[at] = *random.choice(b"{}[],:\"\\ue0-. \n\x01\xc3").unwrap_or(&0),
        }
        if bytes.is_empty() {
            bytes.push(b' ');
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
