//! A look at the ids of a body, for one that is too large to be read before it is signed.
//!
//! It follows quotes and brackets alone. Of each body that can be read, mended or not, it finds the
//! ids that [`Walk`](super::walk::Walk) finds; one that cannot may pass, and is refused when it is
//! read.

use super::{
    InvalidEvent, Key, Keys, Level, Scanned, TaskId, Value,
    grammar::{End, Grammar, NotJson},
    input::Input,
    keys::{Field, Role, key_of},
    quoted::Quoted,
};

/// The ids of a body, which need not be text.
pub(super) fn skim(body: &[u8]) -> Result<Scanned<'_>, InvalidEvent> {
    let outline = Outline(Input(body));
    let start = outline.blanks(0);
    if outline.byte(start) != Some(b'{') {
        return Err(InvalidEvent::NotJson);
    }
    let mut skim = Skim {
        scanned: Scanned::default(),
        outline,
    };
    skim.object(Level::Top, start)?;
    Ok(skim.scanned)
}

struct Skim<'a> {
    scanned: Scanned<'a>,
    outline: Outline<'a>,
}

impl<'a> Skim<'a> {
    fn object(&mut self, level: Level, start: usize) -> Result<usize, InvalidEvent> {
        let mut at = start + 1;
        loop {
            at = self.outline.next_mark(at);
            at = match self.outline.byte(at) {
                Some(b'"') => self.string(level, at)?,
                Some(b'{' | b'[') => self.outline.nested(at)?,
                Some(b'}') => return Ok(at + 1),
                _ => return Err(InvalidEvent::NotJson),
            };
        }
    }

    /// A string, and what stands behind it where it is the key of an id or of `data`.
    fn string(&mut self, level: Level, at: usize) -> Result<usize, InvalidEvent> {
        let end = self.outline.string(at)?;
        // Few begin like this, and only these need a longer look.
        match self.outline.byte(at + 1) {
            Some(b'd' | b't' | b'\\') => self.member(level, at, end),
            _ => Ok(end),
        }
    }

    fn member(&mut self, level: Level, at: usize, end: usize) -> Result<usize, InvalidEvent> {
        let key = key_of_ids(level, self.outline.part(at, end));
        let colon = self.outline.blanks(end);
        if key == Key::IGNORED || self.outline.byte(colon) != Some(b':') {
            return Ok(end);
        }
        let at = self.outline.blanks(colon + 1);
        if !self.scanned.see(key, level) {
            return Err(InvalidEvent::RepeatedKey);
        }
        match (key.0, self.outline.byte(at)) {
            (Role::Data, Some(b'{')) => self.object(Level::Data, at),
            (Role::Field(field, _), Some(b'"')) => {
                let end = self.outline.string(at)?;
                self.put(field, self.outline.part(at, end));
                Ok(end)
            }
            (Role::Field(field, _), _) => {
                let end = self.outline.value(at)?;
                let scalar = str::from_utf8(self.outline.part(at, end)).unwrap_or_default();
                self.scanned.put(field, Value::of_scalar(scalar));
                Ok(end)
            }
            _ => Ok(self.outline.value(at)?),
        }
    }

    /// Takes an id. What one says that is too long is all the same.
    fn put(&mut self, field: Field, id: &'a [u8]) {
        const MAX_LEN: usize = "\"\"".len() + TaskId::MAX_LEN * MAX_ESCAPE;
        if id.len() > MAX_LEN {
            return self.scanned.put(field, Value::Odd);
        }
        match sound(id) {
            Some(id) => self.scanned.put_text(field, id),
            None => self.scanned.put_damage(field),
        }
    }
}

/// How many bytes may stand for one: `\u` and four digits.
const MAX_ESCAPE: usize = 6;

/// A string with its quotes, if it is one.
fn sound(string: &[u8]) -> Option<Quoted<'_>> {
    let text = str::from_utf8(string).ok()?;
    let (quoted, _) = Grammar(text).quoted(0).ok()?;
    Some(quoted)
}

/// What a key with its quotes means.
fn key_of_ids(level: Level, key: &[u8]) -> Key {
    let mut names = ["data", "taskId", "task_id"].into_iter();
    let name = names.find(|name| spells(key, name));
    name.map_or(Key::IGNORED, |name| key_of::<IdsAlone>(level, name))
}

/// Whether a string with its quotes says this, with escapes or without. Of no name is a letter
/// written with a short one.
fn spells(string: &[u8], name: &str) -> bool {
    let mut rest = string.get(1..).unwrap_or_default();
    for letter in name.bytes() {
        rest = match *rest {
            [first, ref rest @ ..] if first == letter => rest,
            [b'\\', b'u', b'0', b'0', high, low, ref rest @ ..]
                if hex(high) << 4 | hex(low) == u32::from(letter) =>
            {
                rest
            }
            _ => return false,
        };
    }
    rest.len() == 1
}

/// A digit of four bits; what is none is more than that.
fn hex(digit: u8) -> u32 {
    char::from(digit).to_digit(16).unwrap_or(u32::MAX)
}

/// No product's keys.
struct IdsAlone;

impl Keys for IdsAlone {
    fn key(_: Level, _: &str) -> Key {
        Key::IGNORED
    }
}

/// Where what begins here ends, if it is JSON. Like [`Grammar`], it goes from
/// one position to another.
#[derive(Clone, Copy)]
struct Outline<'a>(Input<'a>);

impl<'a> Outline<'a> {
    fn value(self, at: usize) -> End {
        match self.byte(at) {
            Some(b'{' | b'[') => self.nested(at),
            Some(b'"') => self.string(at),
            _ => Ok(self.scalar(at)),
        }
    }

    /// To a quote or a bracket.
    fn next_mark(self, mut at: usize) -> usize {
        while let Some(byte) = self.byte(at)
            && !matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')
        {
            at += 1;
        }
        at
    }

    /// To the bracket that ends the one that is here, of whatever kind it is.
    fn nested(self, mut at: usize) -> End {
        // The two kinds differ in one bit.
        const KIND: u8 = b'{' ^ b'[';
        let mut depth = 0_usize;
        loop {
            let byte = self.byte(at).ok_or(NotJson)?;
            if byte == b'"' {
                at = self.string(at)?;
                continue;
            }
            at += 1;
            depth += usize::from(byte | KIND == b'{');
            depth = depth.saturating_sub(usize::from(byte | KIND == b'}'));
            if depth == 0 {
                return Ok(at);
            }
        }
    }

    fn scalar(self, mut at: usize) -> usize {
        while let Some(byte) = self.byte(at)
            && !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')
        {
            at += 1;
        }
        at
    }

    /// Behind the quote that ends the one that is here.
    fn string(self, at: usize) -> End {
        // A short text is not worth a look at eight bytes.
        const SHORT: u8 = 4;
        let (mut at, mut plain) = (at + 1, 0);
        loop {
            match self.byte(at) {
                Some(b'"') => return Ok(at + 1),
                Some(b'\\') => (at, plain) = (at + 2, 0),
                Some(0..=0x1f) | None => return Err(NotJson),
                Some(_) if plain < SHORT => (at, plain) = (at + 1, plain + 1),
                Some(_) => at = self.0.plain(at),
            }
        }
    }

    fn part(self, start: usize, end: usize) -> &'a [u8] {
        self.0.0.get(start..end).unwrap_or_default()
    }

    fn byte(self, at: usize) -> Option<u8> {
        self.0.byte(at)
    }

    fn blanks(self, at: usize) -> usize {
        self.0.blanks(at)
    }
}

#[cfg(test)]
mod tests;
