//! The grammar of JSON, as `serde_json` takes it: where what begins here ends.
//!
//! It builds nothing and changes nothing: each function goes from one position to another, so the
//! position stays in a register. Anybody can send a body that is all grammar. What each key of a body
//! goes through is put in place wherever it is asked for: to call it would cost more than what it does.

use super::{InvalidEvent, input::Input, nesting::Nesting, quoted::Quoted};

/// The grammar is broken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotJson;

impl From<NotJson> for InvalidEvent {
    fn from(_: NotJson) -> Self {
        Self::NotJson
    }
}

/// The position behind something.
pub(super) type End = Result<usize, NotJson>;

/// A text that should be JSON.
#[derive(Clone, Copy)]
pub(super) struct Grammar<'a>(pub(super) &'a str);

impl<'a> Grammar<'a> {
    pub(super) fn byte(self, at: usize) -> Option<u8> {
        self.input().byte(at)
    }

    pub(super) fn blanks(self, at: usize) -> usize {
        self.input().blanks(at)
    }

    /// A value of any kind.
    #[inline(always)]
    pub(super) fn value(self, at: usize) -> End {
        match self.byte(at) {
            Some(b'"') => self.string(at),
            Some(b'{' | b'[') => self.nested(at),
            _ => self.scalar(at),
        }
    }

    /// An object or a list, however deep it is. Without recursion: anybody can send one.
    fn nested(self, mut at: usize) -> End {
        let mut open = Nesting::default();
        let mut end = None;
        loop {
            if let Some(bracket @ (b'{' | b'[')) = self.byte(at) {
                end = open.enter(bracket);
                at = self.blanks(at + 1);
                if self.byte(at) != end {
                    at = self.member(at, end)?;
                    continue;
                }
            } else {
                at = self.blanks(self.scalar(at)?);
            }
            while self.byte(at) == end {
                end = open.leave();
                if end.is_none() {
                    return Ok(at + 1);
                }
                at = self.blanks(at + 1);
            }
            at = match self.byte(at) {
                Some(b',') => self.member(self.blanks(at + 1), end)?,
                _ => return Err(NotJson),
            };
        }
    }

    /// The way to the value of what stands in an object or a list.
    #[inline]
    fn member(self, at: usize, end: Option<u8>) -> End {
        match end {
            Some(b'}') => self.behind_key(at),
            _ => Ok(at),
        }
    }

    fn behind_key(self, at: usize) -> End {
        match self.byte(at) {
            Some(b'"') => self.colon(self.string(at)?),
            _ => Err(NotJson),
        }
    }

    /// A key, its colon, and the blanks around them.
    #[inline(always)]
    pub(super) fn key(self, at: usize) -> Result<(Quoted<'a>, usize), NotJson> {
        let at = self.expect(at, b'"').ok_or(NotJson)?;
        let (key, behind) = self.quoted(at)?;
        Ok((key, self.colon(behind)?))
    }

    /// What the string says whose quote is here.
    #[inline(always)]
    pub(super) fn quoted(self, at: usize) -> Result<(Quoted<'a>, usize), NotJson> {
        let end = self.plain(at + 1);
        match self.byte(end) {
            Some(b'"') => {
                let inner = self.part(at + 1, end)?;
                let has_escapes = false;
                Ok((Quoted { inner, has_escapes }, end + 1))
            }
            _ => self.escaped(at + 1, end),
        }
    }

    /// The same, where not all of it is plain.
    #[cold]
    fn escaped(self, start: usize, plain: usize) -> Result<(Quoted<'a>, usize), NotJson> {
        let behind = self.rest_of_string(plain)?;
        let inner = self.part(start, behind - 1)?;
        let has_escapes = true;
        Ok((Quoted { inner, has_escapes }, behind))
    }

    #[inline(always)]
    pub(super) fn part(self, start: usize, end: usize) -> Result<&'a str, NotJson> {
        self.0.get(start..end).ok_or(NotJson)
    }

    #[inline(always)]
    fn colon(self, at: usize) -> End {
        let colon = self.expect(at, b':').ok_or(NotJson)?;
        Ok(self.blanks(colon + 1))
    }

    /// The position of a byte behind blanks, of which there are seldom any.
    #[inline(always)]
    pub(super) fn expect(self, at: usize, byte: u8) -> Option<usize> {
        if self.byte(at) == Some(byte) {
            return Some(at);
        }
        let at = self.blanks(at);
        (self.byte(at) == Some(byte)).then_some(at)
    }

    /// Anything but an object and a list.
    #[inline]
    fn scalar(self, at: usize) -> End {
        match self.byte(at) {
            Some(b'"') => self.string(at),
            Some(b'-' | b'0'..=b'9') => self.number(at),
            Some(b't') => self.word(at, b"true"),
            Some(b'f') => self.word(at, b"false"),
            Some(b'n') => self.word(at, b"null"),
            _ => Err(NotJson),
        }
    }

    fn word(self, at: usize, word: &[u8]) -> End {
        match self.rest(at).starts_with(word) {
            true => Ok(at + word.len()),
            false => Err(NotJson),
        }
    }

    /// Of any size: what it is worth is for who reads it.
    #[inline]
    fn number(self, mut at: usize) -> End {
        at += usize::from(self.byte(at) == Some(b'-'));
        at = match self.byte(at) {
            Some(b'0') => at + 1,
            _ => self.digits(at)?,
        };
        match self.byte(at) {
            Some(b'.' | b'e' | b'E') => self.fraction(at),
            _ => Ok(at),
        }
    }

    /// What follows the whole part of a number.
    fn fraction(self, mut at: usize) -> End {
        if self.byte(at) == Some(b'.') {
            at = self.digits(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.byte(at) {
            let has_sign = matches!(self.byte(at + 1), Some(b'+' | b'-'));
            at = self.digits(at + 1 + usize::from(has_sign))?;
        }
        Ok(at)
    }

    /// At least one.
    fn digits(self, start: usize) -> End {
        let mut at = start;
        while let Some(b'0'..=b'9') = self.byte(at) {
            at += 1;
        }
        match at == start {
            true => Err(NotJson),
            false => Ok(at),
        }
    }

    /// A string whose quote is here.
    #[inline]
    fn string(self, at: usize) -> End {
        let end = self.plain(at + 1);
        match self.byte(end) {
            Some(b'"') => Ok(end + 1),
            _ => self.rest_of_string(end),
        }
    }

    /// A string from what is not plain in it, or from its end.
    fn rest_of_string(self, mut at: usize) -> End {
        while self.byte(at) == Some(b'\\') {
            at = self.escape(at)?;
            // One behind the other costs no long look.
            if self.byte(at) != Some(b'\\') {
                at = self.plain(at);
            }
        }
        match self.byte(at) {
            Some(b'"') => Ok(at + 1),
            // It ends too early, or a control character has to be written as an escape.
            _ => Err(NotJson),
        }
    }

    /// An escape. Whether it is half a character is for who reads it.
    fn escape(self, at: usize) -> End {
        match *self.rest(at) {
            [
                _,
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                ..,
            ] => Ok(at + 2),
            [_, b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(u8::is_ascii_hexdigit) => {
                Ok(at + 6)
            }
            _ => Err(NotJson),
        }
    }

    #[inline(always)]
    fn plain(self, at: usize) -> usize {
        self.input().plain(at)
    }

    fn rest(self, at: usize) -> &'a [u8] {
        self.input().rest(at)
    }

    fn input(self) -> Input<'a> {
        Input(self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests;
