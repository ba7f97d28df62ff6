//! Reads the parts of a body that a product keeps as JSON: on demand, without a tree, and however
//! deep they are.
//!
//! Such a part was walked once, so its grammar is sound; its texts may still be damaged.

use std::{cell::Cell, fmt};

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::repaired;

/// A value as it was written, never `null`.
#[derive(Clone, Copy)]
pub(in crate::product) struct Json<'a> {
    text: &'a str,
    /// Set when a key that was asked for says two things.
    is_ambiguous: &'a Cell<bool>,
}

impl<'a> Json<'a> {
    pub(super) fn new(text: &'a str, is_ambiguous: &'a Cell<bool>) -> Self {
        Self { text, is_ambiguous }
    }

    /// A text; half a character in it becomes a replacement character.
    pub(in crate::product) fn text(self) -> Option<String> {
        if !self.text.starts_with('"') {
            return None;
        }
        let read = serde_json::from_str(self.text);
        read.ok().or_else(|| {
            let mended = repaired(self.text.as_bytes())?;
            serde_json::from_str(&mended).ok()
        })
    }

    /// A text that is not blank.
    pub(in crate::product) fn words(self) -> Option<String> {
        self.text().filter(|text| !text.trim().is_empty())
    }

    /// A link or an id: one word, and nothing in it that a link cannot have.
    pub(in crate::product) fn link(self) -> Option<String> {
        let breaks = |char: char| {
            char.is_whitespace() || char.is_control() || char == char::REPLACEMENT_CHARACTER
        };
        let text = self.text()?;
        let link = text.trim();
        (!link.is_empty() && !link.contains(breaks)).then(|| link.to_owned())
    }

    /// An id, which may be a number.
    pub(in crate::product) fn id(self) -> Option<String> {
        let is_number = self.text.starts_with(|first: char| first.is_ascii_digit());
        match is_number {
            true => Some(self.text.to_owned()),
            false => self.link(),
        }
    }

    /// A finite number, also where it was written as a text.
    pub(in crate::product) fn number(self) -> Option<f64> {
        let text = self.text();
        let number = text.as_deref().unwrap_or(self.text).trim().parse();
        number.ok().filter(|number: &f64| number.is_finite())
    }

    pub(in crate::product) fn is_list(self) -> bool {
        self.text.starts_with('[')
    }

    pub(in crate::product) fn is_object(self) -> bool {
        self.text.starts_with('{')
    }

    /// Whether it is a list or an object with something in it.
    pub(in crate::product) fn holds_something(self) -> bool {
        let inner = self.text.strip_prefix(['[', '{']).unwrap_or_default();
        !inner.trim_start().starts_with([']', '}']) && !inner.is_empty()
    }

    /// The items of a list; none where it is no list.
    pub(in crate::product) fn each(self, mut take: impl FnMut(Self)) {
        if self.is_list() {
            let take = |text| take(Json { text, ..self });
            // It cannot fail: the grammar is sound.
            let _ = serde_json::Deserializer::from_str(self.text).deserialize_seq(Items(take));
        }
    }

    /// The values of an object, in the order of `names`, each of which is a list of spellings.
    /// Where two spellings, or a key that is repeated, say different things, it is ambiguous.
    pub(in crate::product) fn pick<const N: usize>(
        self,
        names: &[&[&str]; N],
    ) -> [Option<Json<'a>>; N] {
        let mut picked = [None; N];
        if self.is_object() {
            let take = |key: &'a str, text: &'a str| {
                let place = self.place_of(key, names);
                if let Some(place) = place.and_then(|at| picked.get_mut(at)) {
                    self.put(place, text);
                }
            };
            let _ = serde_json::Deserializer::from_str(self.text).deserialize_map(Members(take));
        }
        picked
    }

    /// As it was written.
    pub(in crate::product) fn as_str(self) -> &'a str {
        self.text
    }

    /// Reads the JSON that is written within a text, as a job's result is; or it is no text but
    /// already what would be in it. `None` where it is no JSON.
    pub(in crate::product) fn unfold<T>(self, read: impl FnOnce(Json<'_>) -> T) -> Option<T> {
        let text = self.unfolded()?;
        Some(read(Json {
            text: &text,
            is_ambiguous: self.is_ambiguous,
        }))
    }

    fn unfolded(self) -> Option<String> {
        let Some(text) = self.text() else {
            return Some(self.text.to_owned());
        };
        let is_json = |text: &str| serde_json::from_str::<&RawValue>(text).is_ok();
        let text = match is_json(&text) {
            true => text,
            false => repaired(text.as_bytes()).filter(|mended| is_json(mended))?,
        };
        Some(text.trim().to_owned())
    }

    fn place_of<const N: usize>(self, key: &str, names: &[&[&str]; N]) -> Option<usize> {
        let plain = key.strip_prefix('"')?.strip_suffix('"')?;
        let unescaped = match plain.contains('\\') {
            true => Some(Json { text: key, ..self }.text()?),
            false => None,
        };
        let key = unescaped.as_deref().unwrap_or(plain);
        names.iter().position(|spellings| spellings.contains(&key))
    }

    fn put(self, place: &mut Option<Json<'a>>, text: &'a str) {
        if text == "null" {
            return;
        }
        if place.is_some_and(|other| other.text != text) {
            self.is_ambiguous.set(true);
        }
        *place = Some(Json { text, ..self });
    }
}

struct Items<F>(F);

impl<'a, F: FnMut(&'a str)> Visitor<'a> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(item) = seq.next_element::<&'a RawValue>()? {
            (self.0)(item.get());
        }
        Ok(())
    }
}

struct Members<F>(F);

impl<'a, F: FnMut(&'a str, &'a str)> Visitor<'a> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    /// Keys are taken as they were written: half a character in one must not hide the others.
    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&'a RawValue>()? {
            let value = map.next_value::<&'a RawValue>()?;
            (self.0)(key.get(), value.get());
        }
        Ok(())
    }
}
