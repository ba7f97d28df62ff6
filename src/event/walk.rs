//! Walks the objects that mean something, and skips the rest.

use std::marker::PhantomData;

use super::{
    Key, Keys, Level, Scanned, Value,
    grammar::{End, Grammar, NotJson},
    keys::{Field, Role, key_of},
    quoted::Quoted,
};

/// How deep an object that means something can stand: a product of one's own may nest without end.
const MAX_DEPTH: usize = 128;

/// Fills what was found from a text. Its functions go from one position to another.
pub(super) struct Walk<'c, 'a, K> {
    scanned: &'c mut Scanned<'a>,
    json: Grammar<'a>,
    /// Where a key with escapes is read.
    unescaped: String,
    depth: usize,
    keys: PhantomData<K>,
}

impl<'c, 'a, K: Keys> Walk<'c, 'a, K> {
    pub(super) fn new(scanned: &'c mut Scanned<'a>, text: &'a str) -> Self {
        Self {
            scanned,
            json: Grammar(text),
            unescaped: String::new(),
            depth: 0,
            keys: PhantomData,
        }
    }

    /// From the first byte to the last, which must be one object.
    pub(super) fn whole(mut self, level: Level) -> Result<(), NotJson> {
        let start = self.json.blanks(0);
        let end = match self.json.byte(start) {
            Some(b'{') => self.object(level, start)?,
            _ => return Err(NotJson),
        };
        match self.json.byte(self.json.blanks(end)) {
            None => Ok(()),
            Some(_) => Err(NotJson),
        }
    }

    fn object(&mut self, level: Level, start: usize) -> End {
        let json = self.json;
        let mut at = json.blanks(start + 1);
        if json.byte(at) == Some(b'}') {
            return Ok(at + 1);
        }
        loop {
            let (key, value) = json.key(at)?;
            let key = self.key(level, key);
            at = self.member(level, key, value)?;
            match json.expect(at, b',') {
                Some(comma) => at = comma + 1,
                None => return Ok(json.expect(at, b'}').ok_or(NotJson)? + 1),
            }
        }
    }

    #[inline(always)]
    fn key(&mut self, level: Level, key: Quoted<'a>) -> Key {
        match key.text_in(&mut self.unescaped) {
            Some(key) => key_of::<K>(level, key),
            None => self.scanned.damaged_key(),
        }
    }

    /// Takes what stands behind a key.
    #[inline(always)]
    fn member(&mut self, level: Level, key: Key, at: usize) -> End {
        match key.0 {
            Role::Data if self.scanned.see_data() => self.descend(Level::Data, at),
            Role::Nested => self.descend(Level::WithinResult, at),
            Role::Field(field, spelling) if self.scanned.see_field(field, spelling, level) => {
                self.field(field, at)
            }
            Role::Raw(field, spelling) if self.scanned.see_field(field, spelling, level) => {
                let end = self.json.value(at)?;
                let raw = self.json.part(at, end)?;
                self.scanned.put(field, Value::of_raw(raw));
                Ok(end)
            }
            Role::Foreign(product) => {
                self.scanned.see_foreign(product);
                self.json.value(at)
            }
            _ => self.json.value(at),
        }
    }

    fn field(&mut self, field: Field, at: usize) -> End {
        if self.json.byte(at) == Some(b'"') {
            let (text, end) = self.json.quoted(at)?;
            self.scanned.put_text(field, text);
            return Ok(end);
        }
        let end = self.json.value(at)?;
        let scalar = self.json.part(at, end)?;
        self.scanned.put(field, Value::of_scalar(scalar));
        Ok(end)
    }

    /// `data` may be null or of an odd type: then an id at the top still makes it an event.
    fn descend(&mut self, level: Level, at: usize) -> End {
        match self.json.byte(at) {
            Some(b'{') if self.depth == MAX_DEPTH => Err(NotJson),
            Some(b'{') => {
                self.depth += 1;
                let end = self.object(level, at);
                self.depth -= 1;
                end
            }
            Some(b'[') => {
                if level == Level::WithinResult {
                    // As a key that nobody has.
                    self.scanned.see(K::key(level, "[]"), level);
                }
                self.json.value(at)
            }
            _ => self.json.value(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key leads deeper.
    struct Endless;

    impl Keys for Endless {
        fn key(_: Level, _: &str) -> Key {
            Key::NESTED
        }
    }

    fn is_walked(depth: usize) -> bool {
        let body = "{\"a\":".repeat(depth) + "{}" + &"}".repeat(depth);
        let mut scanned = Scanned::default();
        Walk::<Endless>::new(&mut scanned, &body)
            .whole(Level::Top)
            .is_ok()
    }

    #[test]
    fn a_product_that_nests_without_end_does_not_end_the_stack() {
        assert!(is_walked(MAX_DEPTH));
        assert!(!is_walked(MAX_DEPTH + 1));
        assert!(!is_walked(1 << 18));
    }
}
