//! What a product of one's own is given to read.

use std::{fmt, sync::Arc};

use suno_callback::{
    TaskId,
    product::{Event, Key, Level, Product, Scanned, Source, Stage, Value},
};

/// One key of each kind.
#[derive(Clone)]
struct Kinds;

/// What was found.
#[derive(Clone)]
struct Found(TaskId, Arc<str>, Arc<[String]>);

const WORD: u8 = 0;
const LIST: u8 = 1;
const LAST: u8 = Scanned::FIELDS - 1;
const BEYOND: u8 = Scanned::FIELDS;

impl Product for Kinds {
    type Event = Found;

    fn name(&self) -> &'static str {
        "kinds"
    }

    fn key(level: Level, key: &str) -> Key {
        match (level, key) {
            (Level::Data, "word") => Key::field(WORD),
            (Level::Data, "Word") => Key::field(WORD).respelled(),
            (Level::Data, "list") => Key::raw(LIST),
            (Level::Top, "last") => Key::field(LAST),
            (Level::Top, "beyond") => Key::field(BEYOND),
            (_, "theirs") => Key::foreign("music"),
            _ => Key::IGNORED,
        }
    }

    fn read(&self, task: TaskId, _: Source, scanned: &Scanned<'_>, body: &str) -> Found {
        let word = scanned.get(WORD);
        let found = [
            format!("word {:?} {:?}", scanned.text(WORD), word.as_whole()),
            format!("{} {}", word.is_blank(), scanned.has(WORD)),
            format!("list {:?}", scanned.get(LIST).as_raw()),
            format!("last {:?}", scanned.get(LAST).as_str()),
            format!("beyond {:?}", *scanned.get(BEYOND) == Value::Absent),
            format!("ambiguous {}", scanned.is_ambiguous()),
            format!("damaged {}", scanned.has_damaged(scanned.text(WORD))),
            format!("foreign {:?}", scanned.foreign()),
        ];
        Found(task, body.into(), found.into())
    }
}

impl Event for Found {
    type Product = Kinds;

    fn product(&self) -> Kinds {
        Kinds
    }

    fn task_id(&self) -> &TaskId {
        &self.0
    }

    fn body(&self) -> &str {
        &self.1
    }

    fn stage(&self) -> Stage {
        Stage::Unknown
    }

    fn name(&self) -> &str {
        ""
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Asserts that all of `expected` was found in a body with this beside its task's id.
#[track_caller]
fn finds<const N: usize>(data: &str, top: &str, expected: [&str; N]) {
    let body = format!(r#"{{"data":{{"taskId":"t"{data}}}{top}}}"#);
    let Found(_, _, found) = Kinds.parse(&body).expect("an event");
    for expected in expected {
        assert!(
            found.iter().any(|it| it == expected),
            "{expected}: {found:?}"
        );
    }
}

#[test]
fn a_field_is_a_text_a_whole_number_or_something_odd() {
    let of = |word: &str| format!(r#","word":{word}"#);
    finds("", "", [r#"word "" None"#, "true false"]);
    finds(&of("null"), "", [r#"word "" None"#, "true true"]);
    finds(
        &of(r#""ready""#),
        "",
        [r#"word "ready" None"#, "false true"],
    );
    finds(&of(r#"" \n""#), "", ["true true"]);
    finds(&of("7"), "", [r#"word "" Some(7)"#, "false true"]);
    finds(&of(r#""7""#), "", [r#"word "7" Some(7)"#]);
    for odd in [
        "7.5",
        "true",
        "[1]",
        r#"{"word":"x"}"#,
        "9223372036854775808",
    ] {
        finds(&of(odd), "", [r#"word "" None"#, "false true"]);
    }
}

#[test]
fn what_is_wanted_raw_is_the_json_as_it_was_written_and_null_is_nothing() {
    finds(
        r#","list":[1,  {"a": "\u00e9"}]"#,
        "",
        [r#"list Some("[1,  {\"a\": \"\\u00e9\"}]")"#],
    );
    finds(r#","list":null"#, "", ["list None"]);
}

#[test]
fn a_key_counts_at_its_level_alone_and_a_field_beyond_the_last_keeps_nothing() {
    let all = r#","word":"x","last":"x","beyond":"x""#;
    finds(
        "",
        all,
        [r#"word "" None"#, r#"last Some("x")"#, "beyond true"],
    );
    finds(all, "", [r#"word "x" None"#, "last None"]);
}

#[test]
fn two_spellings_and_two_values_must_agree() {
    for (data, is_ambiguous) in [
        (r#","word":"a""#, false),
        (r#","Word":"a""#, false),
        (r#","word":"a","Word":"a""#, false),
        (r#","word":"7","Word":7"#, false),
        (r#","word":"a","Word":null"#, false),
        (r#","word":"a","Word":"b""#, true),
        // One key twice says two things, also where they are the same.
        (r#","word":"a","word":"a""#, true),
        (r#","list":[],"list":[]"#, true),
        (r#","ignored":1,"ignored":2"#, false),
    ] {
        finds(data, "", [&*format!("ambiguous {is_ambiguous}")]);
    }
}

#[test]
fn another_product_s_key_names_it_and_half_a_character_is_told() {
    finds(r#","theirs":null"#, "", [r#"foreign Some("music")"#]);
    finds("", "", ["foreign None"]);
    finds(r#","word":"a\ud83c""#, "", ["damaged true"]);
    finds(r#","word":"a","other":"\ud83c""#, "", ["damaged false"]);
    // Whole and sound, it is a character like any other.
    finds(r#","word":"\ufffd""#, "", ["damaged false"]);
}
