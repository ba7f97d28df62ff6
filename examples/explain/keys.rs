//! The keys of the environment, and what somebody may have made of them. Nothing here is printed.

use base64::{Engine, engine::general_purpose::STANDARD};
use suno_callback::{InvalidKey, SigningKey};

use crate::BoxError;

pub struct Keys {
    current: Key,
    previous: Option<Key>,
}

struct Key {
    variable: &'static str,
    /// As it is in the environment.
    raw: String,
    /// Without what does not belong to it.
    text: String,
    is_quoted: bool,
    signing: SigningKey,
}

impl Keys {
    pub fn of_environment() -> Result<Self, BoxError> {
        let current = Key::named("SUNO_WEBHOOK_HMAC_KEY", "current")?;
        Ok(Self {
            current: current
                .ok_or("SUNO_WEBHOOK_HMAC_KEY is not set: give it as the receiver has it")?,
            previous: Key::named("SUNO_WEBHOOK_HMAC_KEY_PREVIOUS", "previous")?,
        })
    }

    pub fn signing(&self) -> Vec<SigningKey> {
        self.each().map(|key| key.signing.clone()).collect()
    }

    /// Their bytes, the current one first.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.each().map(|key| key.text.as_bytes())
    }

    /// What a sender may use instead, and how it comes to that.
    pub fn mistaken(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.each().flat_map(Key::mistaken).collect()
    }

    /// Why no receiver starts with them.
    pub fn fault(&self) -> Option<String> {
        let quoted = self.each().find(|key| key.is_quoted)?;
        let variable = quoted.variable;
        Some(format!(
            "{variable} stands in quotes, which env files keep: write it without them; no layer is \
             built with it as it is, and what follows goes on without them"
        ))
    }

    /// What is odd about them, and no fault in a receiver.
    pub fn notes(&self) -> Vec<String> {
        let padded = self
            .each()
            .filter(|key| key.raw != key.text && !key.is_quoted);
        let notes = padded.map(|key| {
            format!(
                "{} has blanks or a line break around it: the receiver and `SigningKey::trimmed` take \
                 them off, `SigningKey::new` refuses them",
                key.variable
            )
        });
        notes.collect()
    }

    fn each(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl Key {
    fn named(variable: &'static str, label: &'static str) -> Result<Option<Self>, BoxError> {
        let raw = std::env::var(variable).unwrap_or_default();
        let bare = trimmed(&raw);
        let is_quoted = matches!(SigningKey::new(bare), Err(InvalidKey::Quoted));
        let text = match is_quoted {
            true => trimmed(unquoted(bare)),
            false => bare,
        };
        let signing = match SigningKey::new(text) {
            Ok(signing) => signing.labelled(label),
            Err(InvalidKey::Empty) => return Ok(None),
            Err(why) => return Err(format!("{variable}: {why}").into()),
        };
        let text = text.to_owned();
        Ok(Some(Self {
            variable,
            raw,
            text,
            is_quoted,
            signing,
        }))
    }

    fn mistaken(&self) -> Vec<(&'static str, Vec<u8>)> {
        let text = &self.text;
        let mut all = vec![
            ("with a line break behind it", format!("{text}\n")),
            ("with a line break behind it", format!("{text}\r\n")),
            ("with a blank behind it", format!("{text} ")),
            ("with a blank before it", format!(" {text}")),
            ("with the quotes around it", format!("\"{text}\"")),
            ("with the quotes around it", format!("'{text}'")),
            (
                "with a byte order mark before it",
                format!("\u{feff}{text}"),
            ),
            ("in small letters", text.to_lowercase()),
            ("in capital letters", text.to_uppercase()),
            (
                "with the name of its variable",
                format!("{}={text}", self.variable),
            ),
            ("as it is in the environment", self.raw.clone()),
        ];
        all.retain(|(_, key)| key != text);
        let mut all: Vec<_> = all
            .into_iter()
            .map(|(how, key)| (how, key.into_bytes()))
            .collect();
        all.extend(hex(text).map(|key| ("decoded from hexadecimal", key)));
        all.extend(
            STANDARD
                .decode(text)
                .map(|key| ("decoded from base64", key)),
        );
        all
    }
}

/// As [`SigningKey::trimmed`] does it.
fn trimmed(text: &str) -> &str {
    let unseen = |letter| matches!(letter, '\u{feff}' | '\u{200b}' | '\u{2060}');
    text.trim_matches(|letter: char| letter.is_whitespace() || unseen(letter))
}

fn unquoted(text: &str) -> &str {
    let mut letters = text.chars();
    letters.next();
    letters.next_back();
    letters.as_str()
}

pub fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text.chars().map(|it| it.to_digit(16)).collect();
    let digits = digits.filter(|it| it.len() % 2 == 0)?;
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok())
        .collect()
}
