use std::fmt;

/// Text of the provider, made fit for a log: control characters and the like as escapes, cut
/// after 256 bytes.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Escaped<'_> {
    const MAX_LEN: usize = 256;
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = self.0.floor_char_boundary(Self::MAX_LEN);
        fmt::Debug::fmt(self.0.get(..cut).unwrap_or_default(), f)?;
        if cut < self.0.len() {
            f.write_str("...")?;
        }
        Ok(())
    }
}
