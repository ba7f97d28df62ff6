/// Bytes that should be JSON, by their position.
#[derive(Clone, Copy)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn byte(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    pub(super) fn blanks(self, mut at: usize) -> usize {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte(at) {
            at += 1;
        }
        at
    }

    /// What stands before a quote, a backslash or a control character.
    #[inline(always)]
    pub(super) fn plain(self, at: usize) -> usize {
        at + plain(self.rest(at))
    }

    pub(super) fn rest(self, at: usize) -> &'a [u8] {
        self.0.get(at..).unwrap_or_default()
    }
}

/// How many bytes are neither a quote nor a backslash nor a control character. Eight in one look:
/// most of a body is in texts of more than that.
#[inline(always)]
pub(super) fn plain(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut plain = 0;
    while let Some((chunk, behind)) = rest.split_first_chunk() {
        match special(u64::from_le_bytes(*chunk)) {
            0 => (plain, rest) = (plain + 8, behind),
            special => return plain + special.trailing_zeros() as usize / 8,
        }
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
    plain + rest.iter().take_while(is_plain).count()
}

/// The highest bit of the first byte that is special, and none before it: a borrow can set one only
/// behind it.
fn special(bytes: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    // With this bit turned a quote comes right behind the control characters, and a blank does not.
    let turned = bytes ^ (EACH * 0x02);
    let is_control_or_quote = turned.wrapping_sub(EACH * 0x21) & !turned;
    let backslash = bytes ^ (EACH * u64::from(b'\\'));
    let is_backslash = backslash.wrapping_sub(EACH) & !backslash;
    (is_control_or_quote | is_backslash) & (EACH * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_special_byte_is_found_wherever_it_stands() {
        for before in 0..=17 {
            for byte in 0..=0x7f_u8 {
                for behind in ["", "\"", "xxxxxxxx\u{1f}", "\\é"] {
                    let text = "x~\u{80}\u{ff}"[..2 + before % 2 * 2].repeat(before);
                    let text = text + &char::from(byte).to_string() + behind;
                    let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
                    let expected = text.bytes().take_while(is_plain).count();
                    assert_eq!(plain(text.as_bytes()), expected, "{text:?}");
                }
            }
        }
    }
}
