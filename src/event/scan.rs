//! One pass over a body: what feeds the signature and what feeds the event are the same strings.
//!
//! The scanner knows where a task's id stands; which other keys mean something says the product.
//! Anybody can send a body, and whoever has no key chooses what is in it. So before the check no
//! value is worth more than a look, and damage is mended only after it.

use super::{
    InvalidEvent, Keys, Level, Scanned,
    repair::{repaired, unmarked},
    skim::skim,
    walk::Walk,
};

/// The largest body that is read to find out whether somebody has signed it, in bytes. Most genuine
/// ones are smaller.
const MAX_UNSIGNED: usize = 2 * 1024;

/// Reads a body. `check` looks at the ids alone, and what it says is handed on; `then` gets what was
/// found, with the text that was read. A body with damage in it is mended and read once more, and
/// checked as it is then. Of a large one the ids are checked before it is read at all.
pub(crate) fn scan<K: Keys, C, T, E: From<InvalidEvent>>(
    body: &[u8],
    check: impl Fn(&Scanned<'_>) -> Result<C, E>,
    then: impl FnOnce(C, &Scanned<'_>, &str) -> T,
) -> Result<T, E> {
    let body = unmarked(body);
    if body.len() > MAX_UNSIGNED {
        check(&skim(body)?)?;
    }
    if let Ok(text) = str::from_utf8(body) {
        let mut scanned = Scanned::default();
        scanned.walk::<K>(text, Level::Top)?;
        let checked = check(&scanned)?;
        if !scanned.needs_mending() {
            return Ok(then(checked, &scanned, text));
        }
    }
    scan_mended::<K, C, T, E>(body, check, then)
}

#[cold]
fn scan_mended<K: Keys, C, T, E: From<InvalidEvent>>(
    body: &[u8],
    check: impl Fn(&Scanned<'_>) -> Result<C, E>,
    then: impl FnOnce(C, &Scanned<'_>, &str) -> T,
) -> Result<T, E> {
    let text = repaired(body).ok_or(InvalidEvent::NotJson)?;
    let mut scanned = Scanned::of(true);
    scanned.walk::<K>(&text, Level::Top)?;
    Ok(then(check(&scanned)?, &scanned, &text))
}

impl<'a> Scanned<'a> {
    /// Reads the result of a job, a JSON text; `None` where it is no JSON object, mended or not.
    pub(crate) fn of_result<K: Keys, T>(
        result: &str,
        then: impl FnOnce(Option<&Scanned<'_>>) -> T,
    ) -> T {
        let mut scanned = Scanned::default();
        let read = scanned.walk::<K>(result, Level::Result);
        if read.is_ok() && !scanned.needs_mending() {
            return then(Some(&scanned));
        }
        let text = repaired(result.as_bytes()).unwrap_or_default();
        let mut scanned = Scanned::of(true);
        let read = scanned.walk::<K>(&text, Level::Result);
        then(Some(&scanned).filter(|_| read.is_ok()))
    }

    /// In place: there are hundreds of bytes to move.
    fn walk<K: Keys>(&mut self, text: &'a str, level: Level) -> Result<(), InvalidEvent> {
        Ok(Walk::<K>::new(self, text).whole(level)?)
    }
}
