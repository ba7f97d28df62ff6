//! Every short text of some parts, for tests that leave nothing out.

/// Every text of up to `longest` of these parts, between a beginning and an end.
pub(super) fn in_every_order<'p>(
    parts: &'p [&'p [u8]],
    longest: u32,
    [begin, end]: [&'p [u8]; 2],
) -> impl Iterator<Item = Vec<u8>> {
    (0..=longest).flat_map(move |length| {
        (0..parts.len().pow(length)).map(move |number| {
            let mut text = begin.to_vec();
            let mut rest = number;
            for _ in 0..length {
                text.extend_from_slice(parts[rest % parts.len()]);
                rest /= parts.len();
            }
            text.extend_from_slice(end);
            text
        })
    })
}
