use std::fmt;

/// Text of the provider, made fit for a log: control characters and the like as escapes, cut
/// after 256 bytes.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Escaped<'_> {
    const MAX_LEN: usize = 256;
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = cut(self.0, Self::MAX_LEN);
        fmt::Debug::fmt(text, f)?;
        if text.len() < self.0.len() {
            f.write_str("...")?;
        }
        Ok(())
    }
}

/// At most the first `most` bytes of a text, and no half character.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut ends = (0..=most.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}
