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
            at = match self.outline.next(level, at)? {
                Next::Key(key, end) => self.member(level, key, end)?,
                Next::End(end) => return Ok(end),
            };
        }
    }

    /// What stands behind the key of an id or of `data`, which may be a text that only looks like one.
    fn member(&mut self, level: Level, key: Key, end: usize) -> Result<usize, InvalidEvent> {
        let colon = self.outline.blanks(end);
        if self.outline.byte(colon) != Some(b':') {
            return Ok(end);
        }
        let at = self.outline.blanks(colon + 1);
        if !self.scanned.see(key, level) {
            return Err(InvalidEvent::RepeatedKey);
        }
        match (key.0, self.outline.byte(at)) {
            (Role::Data, Some(b'{')) => self.object(Level::Data, at),
            (Role::Field(field, _), Some(b'"')) => {
                let end = self.outline.string(at + 1)?;
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

/// What a key means, with the quote behind it. Few are as long as an id's with an escape.
fn key_of_ids(level: Level, key: &[u8]) -> Key {
    const ESCAPED: usize = r#"d\u0061ta""#.len();
    let name = match *key {
        [b'd', b'a', b't', b'a', b'"'] => "data",
        [b't', b'a', b's', b'k', b'I', b'd', b'"'] => "taskId",
        [b't', b'a', b's', b'k', b'_', b'i', b'd', b'"'] => "task_id",
        _ if key.len() >= ESCAPED => match escaped_name(key) {
            Some(name) => name,
            None => return Key::IGNORED,
        },
        _ => return Key::IGNORED,
    };
    key_of::<IdsAlone>(level, name)
}

/// One that is written with escapes.
fn escaped_name(mut key: &[u8]) -> Option<&'static str> {
    let (mut letters, mut len) = ([0; "task_id".len()], 0);
    while key.len() > "\"".len() {
        let (letter, rest) = letter(key)?;
        *letters.get_mut(len)? = letter;
        (key, len) = (rest, len + 1);
    }
    match letters.get(..len)? {
        b"data" => Some("data"),
        b"taskId" => Some("taskId"),
        b"task_id" => Some("task_id"),
        _ => None,
    }
}

/// What a string begins with, and the rest of it. No letter of a name is written with a short escape.
fn letter(string: &[u8]) -> Option<(u8, &[u8])> {
    match *string {
        [letter, ref rest @ ..] if letter != b'\\' => Some((letter, rest)),
        [b'\\', b'u', b'0', b'0', high, low, ref rest @ ..] => {
            let letter = hex(high) << 4 | hex(low);
            Some((u8::try_from(letter).ok()?, rest))
        }
        _ => None,
    }
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

/// What is looked for in an object, and where it ends.
enum Next {
    Key(Key, usize),
    End(usize),
}

/// Where what begins here ends, if it is JSON. Like [`Grammar`], it goes from
/// one position to another.
#[derive(Clone, Copy)]
struct Outline<'a>(Input<'a>);

impl<'a> Outline<'a> {
    fn value(self, at: usize) -> End {
        match self.byte(at) {
            Some(b'{' | b'[') => self.nested(at),
            Some(b'"') => self.string(at + 1),
            _ => Ok(self.scalar(at)),
        }
    }

    /// In an object of this level, the next that looks like the key of an id or of `data`, or its end.
    fn next(self, level: Level, mut at: usize) -> Result<Next, NotJson> {
        let mut depth = 0_isize;
        loop {
            let byte = self.byte(at).ok_or(NotJson)?;
            at += 1;
            if !is(MARK, byte) {
                continue;
            }
            if byte == b'"' {
                let start = at;
                at = self.string(start)?;
                // Few begin like this, and only these need a longer look.
                if depth == 0
                    && matches!(self.byte(start), Some(b'd' | b't' | b'\\'))
                    && let key = key_of_ids(level, self.part(start, at))
                    && key != Key::IGNORED
                {
                    return Ok(Next::Key(key, at));
                }
                continue;
            }
            depth += step(byte);
            if depth < 0 {
                return match byte {
                    b'}' => Ok(Next::End(at)),
                    _ => Err(NotJson),
                };
            }
        }
    }

    /// To the bracket that ends the one that is here, of whatever kind it is.
    fn nested(self, mut at: usize) -> End {
        let mut depth = 0_isize;
        loop {
            let byte = self.byte(at).ok_or(NotJson)?;
            at += 1;
            if !is(MARK, byte) {
                continue;
            }
            if byte == b'"' {
                at = self.string(at)?;
                continue;
            }
            depth += step(byte);
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

    /// Behind the quote that ends the string which begins here, behind its own.
    #[inline]
    fn string(self, start: usize) -> End {
        let end = self.short(start);
        match self.byte(end) {
            Some(b'"') => Ok(end + 1),
            _ => self.long_string(end),
        }
    }

    /// The same, from within a string.
    fn long_string(self, mut at: usize) -> End {
        loop {
            at = match self.byte(at).ok_or(NotJson)? {
                b'"' => return Ok(at + 1),
                b'\\' => self.short(at + 2),
                byte if is(SPECIAL, byte) => return Err(NotJson),
                _ => self.0.plain(at),
            }
        }
    }

    /// Behind some bytes that stand for themselves: a short text is not worth a look at eight.
    fn short(self, start: usize) -> usize {
        const SHORT: usize = 4;
        let mut at = start;
        while let Some(byte) = self.byte(at)
            && !is(SPECIAL, byte)
            && at < start + SHORT
        {
            at += 1;
        }
        at
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

/// How much deeper it is behind a bracket. The two kinds differ in one bit.
fn step(bracket: u8) -> isize {
    const KIND: u8 = b'{' ^ b'[';
    if bracket | KIND == b'{' { 1 } else { -1 }
}

/// A quote or a bracket.
const MARK: u8 = 1;
/// What does not stand for itself in a string.
const SPECIAL: u8 = 2;

fn is(kind: u8, byte: u8) -> bool {
    let kinds = KINDS.get(usize::from(byte));
    kinds.is_some_and(|kinds| kinds & kind != 0)
}

/// Which of these each byte is: one look instead of up to five comparisons.
#[expect(
    clippy::indexing_slicing,
    reason = "in a constant, a wrong index does not compile"
)]
static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < kinds.len() {
        kinds[byte] = match byte as u8 {
            b'"' => MARK | SPECIAL,
            b'{' | b'}' | b'[' | b']' => MARK,
            b'\\' | 0..=0x1f => SPECIAL,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

#[cfg(test)]
mod tests;
