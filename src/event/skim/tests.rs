//! Whatever can be read has the ids that were seen before.

use super::*;
use crate::event::{in_every_order::in_every_order, repair::repaired, walk::Walk};

type Ids = Result<String, InvalidEvent>;

fn ids(scanned: &Scanned<'_>) -> Ids {
    scanned.check_ids()?;
    Ok(scanned.task_id().to_owned())
}

/// The ids of a body that can be read, as it stands or mended.
fn read(body: &[u8]) -> Option<Ids> {
    let text = str::from_utf8(body).ok();
    if let Some(text) = text {
        let mut scanned = Scanned::default();
        Walk::<IdsAlone>::new(&mut scanned, text)
            .whole(Level::Top)
            .ok()?;
        if !scanned.needs_mending() {
            return Some(ids(&scanned));
        }
    }
    let mended = repaired(body)?;
    let mut scanned = Scanned::of(true);
    Walk::<IdsAlone>::new(&mut scanned, &mended)
        .whole(Level::Top)
        .ok()?;
    Some(ids(&scanned))
}

/// Whether the body could be read.
fn assert_same(body: &[u8]) -> bool {
    let Some(read) = read(body) else { return false };
    let skimmed = skim(body).and_then(|scanned| ids(&scanned));
    assert_eq!(skimmed, read, "{}", body.escape_ascii());
    true
}

/// Of every text of up to `longest` of these parts, how many could be read.
fn assert_same_in_every_order(parts: &[&[u8]], longest: u32, ends: [&[u8]; 2]) -> usize {
    let bodies = in_every_order(parts, longest, ends);
    bodies.filter(|body| assert_same(body)).count()
}

#[test]
fn every_short_body_has_the_ids_that_are_read_of_it() {
    let members: [&[u8]; 18] = [
        b"\"taskId\":\"a\",",
        b"\"taskId\":\"b\",",
        b"\"task_id\" : \"a\" ,",
        b"\"\\u0074\\u0061sk_id\":\"\\u0061\",",
        b"\"taskId\":null,",
        b"\"taskId\":-0,",
        b"\"taskId\":[\"a\",{\"]\":1}],",
        b"\"data\":{",
        b"\"d\\u0061ta\":{",
        b"\"data\":[],",
        b"\"x\":{",
        b"\"x\":\"\\\\\",",
        b"\"x\":\"taskId\",",
        b"\"x\":\"data\" ,",
        b"\"\":1e999,",
        b"\"taskId\\ud83c\":\"\xff}\",",
        b"\"z\":0}",
        b",",
    ];
    let read = assert_same_in_every_order(&members, 4, [b"{", b"\"z\":0}"]);
    assert!(read > 1_000, "{read}");
}

#[test]
fn every_short_id_is_the_one_that_is_read() {
    let parts: [&[u8]; 14] = [
        b"a",
        b"\\u0061",
        b"\\ud83c",
        b"\\udfa4",
        b"\\n",
        b"\\\\",
        b"\\\"",
        b"\x7f",
        b"\x1f",
        b"\xc3",
        b"\xa9",
        b"\xff",
        "\u{e9}".as_bytes(),
        b"\"",
    ];
    for ends in [
        [&b"{\"taskId\":\""[..], b"\"}"],
        [b"{\"x\":\"\xff\",\"data\":{\"task_id\":\"", b"\"}}"],
    ] {
        let read = assert_same_in_every_order(&parts, 4, ends);
        assert!(read > 1_000, "{read}");
    }
}

#[test]
fn an_id_of_any_length_is_the_one_that_is_read() {
    for char in ["a", "\u{e9}", "\\u0061", "\\ud83c\\udfa4"] {
        for count in [1, 63, 64, 65, 127, 128, 129, 255, 256, 257, 4_000] {
            let id = char.repeat(count);
            assert!(assert_same(format!("{{\"taskId\":\"{id}\"}}").as_bytes()));
        }
    }
}

#[test]
fn a_damaged_body_has_the_ids_that_are_read_of_it() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut read = 0;
    for body in [
        include_str!("../../../tests/fixtures/job-success.json"),
        include_str!("../../../tests/fixtures/midi-success.json"),
        include_str!("../../../tests/fixtures/mp4-failed-kie.json"),
    ] {
        assert!(assert_same(body.as_bytes()));
        for _ in 0..2_000 {
            let mut body = body.as_bytes().to_vec();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..body.len());
                body[at] = *random
                    .choice(b"{}[],:\"\\ue0-. \n\x01\xc3\xff")
                    .unwrap_or(&0);
            }
            read += usize::from(assert_same(&body));
        }
    }
    assert!(read > 100, "{read}");
}

#[test]
fn a_control_character_in_a_text_ends_the_look() {
    let letters = (0..=20).flat_map(|count| [b"a".repeat(count), b"\\n".repeat(count)]);
    for letters in letters {
        for control in 0..0x20 {
            let body = [
                br#"{"x":""#,
                &letters[..],
                &[control],
                br#"","taskId":"t"}"#,
            ]
            .concat();
            let refused = skim(&body).err();
            assert_eq!(
                refused,
                Some(InvalidEvent::NotJson),
                "{}",
                body.escape_ascii()
            );
        }
    }
}

#[test]
fn what_is_deep_is_passed_without_an_end_of_the_stack() {
    let deep = "[{\"a\":".repeat(1 << 18) + "1" + &"}]".repeat(1 << 18);
    assert!(assert_same(
        format!("{{\"x\":{deep},\"taskId\":\"a\"}}").as_bytes()
    ));
    assert!(skim(deep.as_bytes()).is_err());
    assert!(skim(format!("{{\"x\":{deep}").as_bytes()).is_err());
}
