//! What a body costs that anybody can send: its head is right, so it is read, and it is refused for
//! its signature or before. As large as the product's limit, and filled in every way that was found
//! to cost much.

use std::{convert::Infallible, time::Duration};

use axum::http::Request;
use bytes::Bytes;
use http_body_util::Full;
use suno_callback::product::{
    AnyProduct, CoverImage, Job, Lyrics, Midi, Music, Product, Stems, Video, Voice, Wav,
};
use tower::Service;

use crate::{
    measure::{Measured, Spread, a_request},
    mounted,
    table::shown,
    template::Template,
    variant::{IN_TOWER, timed_pass},
};

/// How a body begins, what fills it, and how it ends.
const KINDS: &[(&str, [&str; 3])] = &[
    ("one ignored key, over and over", ["{", r#""a":1,"#, "}"]),
    ("the same with no name", ["{", r#""":1,"#, "}"]),
    ("the same with an escape", ["{", r#""\n":1,"#, "}"]),
    ("the same in `data`", [r#"{"data":{"#, r#""a":1,"#, "}}"]),
    ("the same, and broken at the end", ["{", r#""a":1,"#, "]"]),
    (
        "the same behind an escaped `data`",
        [r#"{"d\u0061ta":{"#, r#""a":1,"#, "}}"],
    ),
    ("keys with half a character", ["{", r#""\ud83c":1,"#, "}"]),
    ("keys that begin escaped", ["{", r#""\u0061":1,"#, "}"]),
    ("keys that begin like `data`", ["{", r#""d":1,"#, "}"]),
    ("texts that begin like `data`", ["{", r#""d":"d","#, "}"]),
    (
        "keys and texts that end unlike `taskId`",
        ["{", r#""t\u0061skIe":"","#, "}"],
    ),
    ("empty objects for keys", ["{", "{}", "}"]),
    ("empty texts for keys", ["{", r#""","#, "}"]),
    (
        "keys that begin like an id's",
        ["{", r#""t\n\n\n":1,"#, "}"],
    ),
    (
        "keys that end unlike `data`",
        ["{", r#""d\u0061t":1,"#, "}"],
    ),
    ("`data`, over and over", ["{", r#""data":{},"#, "}"]),
    (
        "a number that is read, over and over",
        ["{", r#""code":1,"#, "}"],
    ),
    (
        "an escape that is read, over and over",
        ["{", r#""code":"\n","#, "}"],
    ),
    ("an id, over and over", ["{", r#""taskId":"","#, "}"]),
    (
        "numbers in a list that is read",
        [r#"{"code":["#, "1,", "]}"],
    ),
    (
        "numbers in a list that is ignored",
        [r#"{"x":["#, "1,", "]}"],
    ),
    (
        "the same behind a number beyond any float",
        [r#"{"code":1e999,"x":["#, "1,", "]}"],
    ),
    (
        "the same behind a byte order mark",
        ["\u{feff}{\"x\":[", "1,", "]}"],
    ),
    (
        "numbers beyond any float",
        [r#"{"code":1e999,"x":["#, "1e999,", "]}"],
    ),
    (
        "empty texts in a list that is ignored",
        [r#"{"x":["#, r#""","#, "]}"],
    ),
    (
        "short texts in a list that is ignored",
        [r#"{"x":["#, r#""a","#, "]}"],
    ),
    (
        "objects in a list that is ignored",
        [r#"{"x":["#, r#"{"a":1},"#, "]}"],
    ),
    ("lists that never end", [r#"{"x":"#, "[", ""]),
    ("short escapes as an id", [r#"{"taskId":""#, r"\n", r#""}"#]),
    (
        "long escapes as an id",
        [r#"{"taskId":""#, r"\u0061", r#""}"#],
    ),
    (
        "half characters as an id",
        [r#"{"taskId":""#, r"\ud83c", r#""}"#],
    ),
    (
        "short escapes that are ignored",
        [r#"{"x":""#, r"\n", r#""}"#],
    ),
    (
        "short escapes between letters",
        [r#"{"x":""#, r"\nx", r#""}"#],
    ),
    ("blanks", ["{", " ", "}"]),
    ("one long text", [r#"{"x":""#, "x", r#""}"#]),
    ("one long text beyond ASCII", [r#"{"x":""#, "é", r#""}"#]),
];

/// Bytes that are no text take three each when they are shown as such. They stand for [`NO_TEXT`].
const KINDS_OF_NO_TEXT: &[(&str, [&str; 3])] = &[
    ("bytes that are no text", ["{\"x\":\"", NO_TEXT, "\"}"]),
    (
        "the same beside an id that is not ASCII",
        ["{\"taskId\":\"é\",\"x\":\"", NO_TEXT, "\"}"],
    ),
];

const NO_TEXT: &str = "\u{1}";

/// The largest body that is read to find out whether it is signed; the ids of a larger one are looked
/// at before.
const MAX_UNSIGNED: usize = 2 * 1024;

const RUNS: usize = 5;
const ROUNDS: usize = 3;

/// A kind at the limit of one product.
pub struct Hostile {
    pub product: &'static str,
    pub limit: usize,
    pub kind: &'static str,
    /// As a multiple of an accepted voice in tower.
    pub accepts: Spread,
}

pub fn measured(measured: &Measured) -> Vec<Hostile> {
    let accept = measured.nanoseconds(IN_TOWER);
    let voice = Voice::generate();
    [
        of_size("voice", voice, voice.body_limit(), accept),
        of_size("voice, read", voice, MAX_UNSIGNED, accept),
        of("wav", Wav, accept),
        of("video", Video, accept),
        of("cover-image", CoverImage, accept),
        of("stems", Stems, accept),
        of("lyrics", Lyrics, accept),
        of("music", Music, accept),
        of("job", Job, accept),
        of("midi", Midi, accept),
        of("any", AnyProduct, accept),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The kinds, each at a voice's limit.
pub fn kinds_of_voice() -> Vec<&'static str> {
    let bodies = bodies(Voice::generate().body_limit());
    bodies.into_iter().map(|(kind, _)| kind).collect()
}

/// Sends one kind, and nothing else.
pub fn once(kind: &str, count: usize) {
    let voice = Voice::generate();
    let mut bodies = bodies(voice.body_limit()).into_iter();
    let (_, mut templates) = bodies
        .find(|(it, _)| *it == kind)
        .unwrap_or_else(|| panic!("no kind is named {kind}"));
    templates.truncate(count);
    assert_eq!(templates.len(), count, "one batch at most");
    sent(&mut mounted::receiving(voice), &templates);
}

fn of<P: Product>(name: &'static str, product: P, accept: f64) -> Vec<Hostile> {
    let limit = product.body_limit();
    of_size(name, product, limit, accept)
}

fn of_size<P: Product>(name: &'static str, product: P, limit: usize, accept: f64) -> Vec<Hostile> {
    let bodies = bodies(limit);
    let mut service = mounted::receiving(product);
    let mut bare = tower::service_fn(mounted::bare);
    let mut runs = vec![Vec::new(); bodies.len()];
    for _ in 0..RUNS {
        for ((_, templates), times) in bodies.iter().zip(&mut runs) {
            let least = |work: &mut dyn FnMut() -> Duration| {
                let rounds = (0..ROUNDS).map(|_| a_request(work(), templates.len()));
                rounds.fold(f64::MAX, f64::min)
            };
            let own = least(&mut || sent(&mut service, templates));
            let bare = least(&mut || sent(&mut bare, templates));
            times.push((own - bare) / accept);
        }
    }
    let kinds = bodies.into_iter().map(|(kind, _)| kind);
    kinds
        .zip(runs)
        .map(|(kind, times)| Hostile {
            product: name,
            limit,
            kind,
            accepts: Spread::of(times),
        })
        .collect()
}

fn sent<S>(service: &mut S, templates: &[Template]) -> Duration
where
    S: Service<Request<Full<Bytes>>, Error = Infallible>,
{
    timed_pass(service, templates, Full::new)
}

fn bodies(limit: usize) -> Vec<(&'static str, Vec<Template>)> {
    let count = (1 << 18) / limit;
    let sent = |body: Vec<u8>| vec![Template::unsigned(body); count.max(1)];
    let filled = |(kind, parts): &(_, _)| (*kind, filled(*parts, limit));
    let no_text = |byte| {
        if [byte] == NO_TEXT.as_bytes() {
            0xFF
        } else {
            byte
        }
    };
    let no_texts = KINDS_OF_NO_TEXT.iter().map(filled);
    let no_texts = no_texts.map(|(kind, body)| (kind, body.into_iter().map(no_text).collect()));
    let all = KINDS.iter().map(filled).chain(no_texts);
    all.map(|(kind, body)| (kind, sent(body))).collect()
}

/// As long as it may be.
fn filled([begin, item, end]: [&str; 3], limit: usize) -> Vec<u8> {
    let count = (limit - begin.len() - end.len()) / item.len();
    let items = item.repeat(count);
    let items = items.strip_suffix(',').unwrap_or(&items);
    [begin, items, end].concat().into_bytes()
}

pub fn print(all: &[Hostile]) {
    println!("\nhostile bodies at the limit, in accepted voices in tower; median of five runs\n");
    let (first, limit) = (all[0].product, all[0].limit);
    println!("| {first}, {} KiB | accepts |\n|---|---|", limit / 1024);
    for it in all.iter().filter(|it| it.product == first) {
        println!("| {} | {} |", it.kind, shown(it.accepts));
    }
    println!("\n| product | limit, KiB | the worst | accepts | a KiB |\n|---|---|---|---|---|");
    for worst in worst_of_each(all) {
        let kibibytes = worst.limit / 1024;
        println!(
            "| {} | {kibibytes} | {} | {} | {:.1} |",
            worst.product,
            worst.kind,
            shown(worst.accepts),
            worst.accepts.median / kibibytes as f64,
        );
    }
}

/// The worst kind of each product.
pub fn worst_of_each(all: &[Hostile]) -> impl Iterator<Item = &Hostile> {
    let by_product = all.chunk_by(|one, other| one.product == other.product);
    by_product.filter_map(|kinds| {
        let by_cost =
            |one: &&Hostile, other: &&Hostile| one.accepts.median.total_cmp(&other.accepts.median);
        kinds.iter().max_by(by_cost)
    })
}
