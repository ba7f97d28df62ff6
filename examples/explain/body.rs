//! Causes that the body shows.

use serde::de::IgnoredAny;
use suno_callback::{InvalidEvent, Rejection};

use crate::{
    cause::Cause,
    layer::{Case, ROUTES, Route},
    options::Options,
    signed,
    texts::{ids as ids_of, texts},
};

pub fn size(case: &Case) -> Cause {
    let body = &case.request.body;
    let fits = |route: &Route| body.len() <= (route.body_limit)() && (route.knows)(body);
    match ROUTES.into_iter().find(fits) {
        Some(product) => {
            let why = format!(
                "it is a callback of {name}, which may be as large: give it the URL of the route \
                 that receives {name}",
                name = product.name
            );
            let mended = Case {
                product,
                ..case.clone()
            };
            Cause::new(why, Some(mended))
        }
        None => Cause::last("no product has callbacks of that size and content"),
    }
}

pub fn json(case: &Case) -> Cause {
    let body = &case.request.body;
    let is_cut = || serde_json::from_slice::<IgnoredAny>(body).is_err_and(|it| it.is_eof());
    let why = match body.trim_ascii() {
        [] => "empty: a proxy that drops bodies, or a capture without it",
        [0x1F, 0x8B, ..] => "compressed by a proxy, and no header says so",
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, ..] | [_, 0, ..] => "UTF-16: give it as UTF-8",
        [b'<', ..] => "HTML or XML: another sender, or a proxy's own page",
        [b'{', ..] if is_cut() => "cut off: a proxy that limits bodies, or half a capture",
        [b'[', ..] => "a list: a proxy or a queue has put it among others",
        [b'"', ..] => "a text: somebody has encoded the JSON once more",
        [b'{', ..] => "broken JSON: somebody has edited it, or half a character is in the id",
        text if text.contains(&b'=') => "a form: another sender",
        _ => "no JSON: another sender",
    };
    Cause::last(why)
}

pub fn ids(rejection: Rejection, case: &Case, options: &Options) -> Cause {
    let body = &case.request.body;
    let signed = signed::place(case, options);
    let signed = signed.map(|path| format!("; the signature is for the text at {path}"));
    let why = match rejection {
        Rejection::InvalidEvent(InvalidEvent::NoTaskId) => match wrapped(body) {
            Some(path) => {
                format!("an id stands at {path}: a proxy or a queue has wrapped the body")
            }
            None => "no id in any of its four places: another sender".to_owned(),
        },
        Rejection::InvalidEvent(InvalidEvent::TaskIdsDiffer) => {
            "two ids that differ: a proxy has changed the body, or it is forged".to_owned()
        }
        Rejection::InvalidEvent(InvalidEvent::RepeatedKey) => {
            "a key on the way to the id is there twice: a proxy has changed the body, or it is \
             forged"
                .to_owned()
        }
        _ => odd(body),
    };
    Cause::last(why + &signed.unwrap_or_default())
}

/// Where an id stands that has its name and not its place.
fn wrapped(body: &[u8]) -> Option<String> {
    let is_id = |path: &str| [".taskId", ".task_id"].iter().any(|it| path.ends_with(it));
    let mut paths = texts(body).into_iter().map(|(path, _)| path);
    paths.find(|path| is_id(path))
}

fn odd(body: &[u8]) -> String {
    let odd = ids_of(body).into_iter().find_map(|(place, value)| {
        let what = match value.as_str() {
            None => "no text: the sender has made a number, null or an object of it",
            Some("") => "empty",
            Some(text) if text.len() > 256 => "longer than 256 bytes",
            Some(text) if text.chars().any(char::is_control) => "with a control character in it",
            Some(_) => return None,
        };
        Some(format!("the id at {place} is {what}"))
    });
    odd.unwrap_or_else(|| "the id is none".to_owned())
}
