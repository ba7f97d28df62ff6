//! What a signature that is not the layer's was made over, and with which key.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use suno_callback::{Product, SIGNATURE_HEADER, TIMESTAMP_HEADER, product::AnyProduct};

use crate::{cause::Cause, layer::Case, options::Options, spelling::bytes_of, texts::texts};

pub fn cause(case: &Case, options: &Options) -> Cause {
    let Some(search) = Search::of(case, options) else {
        return Cause::last("it cannot be read");
    };
    match search.cause() {
        Some(why) => Cause::new(why, signed_anew(case, options)),
        None => Cause::last(
            "no key of the environment has made it, over no text of this request: take the key of \
             the settings page of the account whose callback it is, unless the id was changed on \
             the way or the request is forged",
        ),
    }
}

/// Whether its signature is the one that its first headers must have.
pub fn is_genuine(case: &Case, options: &Options) -> bool {
    let (search, id) = (Search::of(case, options), id_of(case));
    let both = search.zip(id);
    both.is_some_and(|(search, id)| search.is(&[&id, ".", &search.times[0]]))
}

/// The path of the text in the body that was signed in the place of an id.
pub fn place(case: &Case, options: &Options) -> Option<String> {
    Search::of(case, options)?.place()
}

/// As the provider would have done it, so that the rest can be looked at.
fn signed_anew(case: &Case, options: &Options) -> Option<Case> {
    let time = case.request.value(&TIMESTAMP_HEADER).parse().ok()?;
    let key = options.keys.signing().into_iter().next()?;
    let id = id_of(case)?;
    let request = case.request.clone();
    Some(Case {
        request: request.with(&SIGNATURE_HEADER, &key.sign(&id, time))?,
        ..case.clone()
    })
}

fn id_of(case: &Case) -> Option<String> {
    let event = AnyProduct.parse(&case.request.body).ok()?;
    Some(event.task_id().as_str().to_owned())
}

struct Search<'a> {
    case: &'a Case,
    options: &'a Options,
    tag: [u8; 32],
    /// The header as the layer takes it, and as it came.
    times: Vec<String>,
}

impl<'a> Search<'a> {
    fn of(case: &'a Case, options: &'a Options) -> Option<Self> {
        let (_, tag) = bytes_of(&case.request.value(&SIGNATURE_HEADER))?;
        let mut times = vec![case.request.value(&TIMESTAMP_HEADER)];
        let came = options.request.value(&TIMESTAMP_HEADER);
        times.extend(Some(came).filter(|it| *it != times[0]));
        Some(Self {
            case,
            options,
            tag,
            times,
        })
    }

    fn cause(&self) -> Option<String> {
        let id = id_of(self.case)?;
        self.time(&id)
            .or_else(|| self.field())
            .or_else(|| self.whole_body())
            .or_else(|| self.shape(&id))
            .or_else(|| self.key(&id))
    }

    /// The right id, and a time that is not the header's.
    fn time(&self, id: &str) -> Option<String> {
        let came = self.times.get(1).filter(|time| self.is(&[id, ".", time]));
        if came.is_some() {
            return Some(
                "made over the time as the header has it: sign the seconds too".to_owned(),
            );
        }
        let millis = (0..1000).map(|millis| format!("{}{millis:03}", self.times[0]));
        let millis = millis.into_iter().find(|time| self.is(&[id, ".", time]));
        millis.map(|_| "made over milliseconds, and the header has seconds: sign the header".into())
    }

    fn field(&self) -> Option<String> {
        let path = self.place()?;
        Some(format!(
            "made for the text at {path}: the sender signs the wrong field, or a proxy has changed \
             the id"
        ))
    }

    fn place(&self) -> Option<String> {
        let mut texts = texts(&self.case.request.body).into_iter();
        let found = texts.find(|(_, text)| {
            let both = [text.as_str(), text.trim()];
            let mut times = self.times.iter();
            times.any(|time| both.iter().any(|text| self.is(&[text, ".", time])))
        });
        found.map(|(path, _)| path)
    }

    fn whole_body(&self) -> Option<String> {
        const WHY: &str = "made over the body, as many other providers do it: sign the task id, a \
                           dot and the timestamp";
        let body = String::from_utf8_lossy(&self.case.request.body).into_owned();
        let value = serde_json::from_str::<Value>(&body).ok();
        let mut bodies = vec![body.trim().to_owned(), body];
        bodies.extend(value.map(|value| value.to_string()));
        let is_over = |body: &String| self.is(&[body]) || self.is_with_time(body);
        bodies.iter().any(is_over).then(|| WHY.to_owned())
    }

    fn is_with_time(&self, text: &str) -> bool {
        let mut times = self.times.iter();
        times.any(|time| {
            let shapes = [
                &[text, ".", time][..],
                &[time, ".", text],
                &[text, time],
                &[time, text],
                &[text, ":", time],
            ];
            shapes.iter().any(|parts| self.is(parts))
        })
    }

    /// Something near to the right text.
    fn shape(&self, id: &str) -> Option<String> {
        let (small, large) = (id.to_lowercase(), id.to_uppercase());
        let quoted = format!("\"{id}\"");
        let time = self.times[0].as_str();
        let shapes = [
            (
                &[id][..],
                "over the id alone: a dot and the timestamp belong to it",
            ),
            (&[id, time], "without the dot between id and timestamp"),
            (
                &[time, ".", id],
                "over the timestamp before the id: the id comes first",
            ),
            (
                &[id, ":", time],
                "with a colon between id and timestamp: a dot belongs there",
            ),
            (
                &[id, ".", time, "\n"],
                "over a line break behind the timestamp, as `echo` adds it",
            ),
            (&[time], "over the timestamp alone"),
            (&[".", time], "for an empty id: the sender has read none"),
            (
                &["undefined.", time],
                "for \"undefined\": the sender has read no id",
            ),
            (&["null.", time], "for \"null\": the sender has read no id"),
            (&["None.", time], "for \"None\": the sender has read no id"),
            (&[&quoted, ".", time], "for the id in quotes"),
            (&[&small, ".", time], "for the id in small letters"),
            (&[&large, ".", time], "for the id in capital letters"),
        ];
        let found = shapes.into_iter().find(|(parts, _)| self.is(parts));
        found.map(|(_, how)| format!("made {how}"))
    }

    fn key(&self, id: &str) -> Option<String> {
        let body = String::from_utf8_lossy(&self.case.request.body);
        let mut keys = self.options.keys.mistaken().into_iter();
        let (how, _) = keys.find(|(_, key)| {
            let right = |time: &String| self.is_made_with(key, &[id, ".", time]);
            self.times.iter().any(right) || self.is_made_with(key, &[&body])
        })?;
        Some(format!(
            "made with the key {how}: the sender, or the receiver, does not read the key as the \
             settings page has it"
        ))
    }

    /// Whether a key of the environment has signed that.
    fn is(&self, parts: &[&str]) -> bool {
        let mut keys = self.options.keys.texts();
        keys.any(|key| self.is_made_with(key, parts))
    }

    fn is_made_with(&self, key: &[u8], parts: &[&str]) -> bool {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
            return false;
        };
        for part in parts {
            mac.update(part.as_bytes());
        }
        mac.verify_slice(&self.tag).is_ok()
    }
}
