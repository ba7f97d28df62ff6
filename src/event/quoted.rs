use std::borrow::Cow;

use super::input::plain;

/// A string as JSON has it, between its quotes. Its grammar is sound.
#[derive(Clone, Copy)]
pub(super) struct Quoted<'a> {
    pub(super) inner: &'a str,
    pub(super) has_escapes: bool,
}

impl<'a> Quoted<'a> {
    /// The text that is meant, in memory of its own where it was written with escapes; `None` where
    /// half a character is in it.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self.has_escapes {
            false => Some(Cow::Borrowed(self.inner)),
            true => {
                let mut text = String::with_capacity(self.inner.len());
                self.unescape(&mut text).map(|()| Cow::Owned(text))
            }
        }
    }

    /// The text that is meant, in a buffer that serves many; `None` where half a character is in it.
    pub(super) fn text_in<'b>(self, buffer: &'b mut String) -> Option<&'b str>
    where
        'a: 'b,
    {
        match self.has_escapes {
            false => Some(self.inner),
            true => {
                buffer.clear();
                self.unescape(buffer).map(|()| &**buffer)
            }
        }
    }

    fn unescape(self, text: &mut String) -> Option<()> {
        let mut rest = self.inner;
        while !rest.is_empty() {
            let (before, escape) = rest.split_at_checked(plain(rest.as_bytes()))?;
            text.push_str(before);
            rest = escape;
            // One behind the other costs no long look.
            while rest.starts_with('\\') {
                let (char, len) = escaped(rest)?;
                text.push(char);
                rest = rest.get(len..)?;
            }
        }
        Some(())
    }
}

/// What the escape means with which a text begins, and how long it is.
fn escaped(text: &str) -> Option<(char, usize)> {
    let char = match text.as_bytes().get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return beyond(text),
        other => char::from(*other),
    };
    Some((char, 2))
}

/// By its number, in one or two halves.
fn beyond(text: &str) -> Option<(char, usize)> {
    let first = utf16_unit(text)?;
    if let Some(char) = char::from_u32(first.into()) {
        return Some((char, 6));
    }
    let second = utf16_unit(text.get(6..)?)?;
    let char = char::decode_utf16([first, second]).next()?.ok()?;
    Some((char, 12))
}

/// What `\u` and four digits stand for, where a text begins with them.
pub(super) fn utf16_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}
