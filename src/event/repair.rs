//! Makes a body legible whose damage lies in its texts and numbers.
//!
//! A provider that cuts a text by bytes or by UTF-16 units sends half a character, and an event must
//! not be lost for it. Only what JSON allows somewhere is mended: broken grammar stays broken.

use serde::de::IgnoredAny;

use super::quoted::utf16_unit;

/// The body without a byte order mark.
pub(super) fn unmarked(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)
}

/// The body with replacement characters for what is no text, the largest float for what is beyond
/// it, and without a byte order mark. `None` where there is nothing to mend.
pub(crate) fn repaired(body: &[u8]) -> Option<String> {
    let mended = mended(&String::from_utf8_lossy(unmarked(body)));
    (mended.as_bytes() != body).then_some(mended)
}

fn mended(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    let begins = |char: char| matches!(char, '"' | '-' | '0'..='9');
    while let Some(at) = rest.find(begins) {
        let (before, token) = rest.split_at(at);
        mended.push_str(before);
        rest = match token.strip_prefix('"') {
            Some(text) => string(text, &mut mended),
            None => number(token, &mut mended),
        };
    }
    mended.push_str(rest);
    mended
}

/// Copies a string, whose opening quote is read, and leaves what follows it.
fn string<'t>(text: &'t str, mended: &mut String) -> &'t str {
    mended.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\\']) {
        let (plain, special) = rest.split_at(at);
        mended.push_str(plain);
        if let Some(rest) = special.strip_prefix('"') {
            mended.push('"');
            return rest;
        }
        rest = escape(special, mended);
    }
    mended.push_str(rest);
    ""
}

/// Copies an escape. Half a surrogate pair stands for nothing.
fn escape<'t>(text: &'t str, mended: &mut String) -> &'t str {
    let (len, half) = match (utf16_unit(text), text.get(6..).and_then(utf16_unit)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, false),
        (Some(0xD800..=0xDFFF), _) => (6, true),
        (Some(_), _) => (6, false),
        (None, _) => (text.chars().take(2).map(char::len_utf8).sum(), false),
    };
    let (escape, rest) = text.split_at(len);
    mended.push_str(if half { "\\ufffd" } else { escape });
    rest
}

/// The digits of the least number that is beyond any float.
const MIN_BEYOND: usize = 309;

/// Copies a number. One that JSON allows and no float can hold stays a number.
fn number<'t>(text: &'t str, mended: &mut String) -> &'t str {
    let goes_on = |char: char| matches!(char, '0'..='9' | '+' | '-' | '.' | 'e' | 'E');
    let end = text.find(|char| !goes_on(char)).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    if number.len() < MIN_BEYOND && !number.contains(['e', 'E']) {
        mended.push_str(number);
        return rest;
    }
    let is_number = serde_json::from_str::<IgnoredAny>(number).is_ok();
    let fits = serde_json::from_str::<f64>(number).is_ok();
    mended.push_str(match (is_number, fits) {
        (true, false) if number.starts_with('-') => "-1e308",
        (true, false) => "1e308",
        _ => number,
    });
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_in_texts_and_numbers_is_mended_and_nothing_else() {
        for (body, legible) in [
            (&br#"{"a":"\ud83c"}"#[..], r#"{"a":"\ufffd"}"#),
            (br#"{"\udfa4a":1}"#, r#"{"\ufffda":1}"#),
            (br#"["\ud83c\ud83c\udfa4"]"#, r#"["\ufffd\ud83c\udfa4"]"#),
            (br#"["\uD83Cx","\\ud83c"]"#, r#"["\ufffdx","\\ud83c"]"#),
            (b"[\"\xf0\x9f\x8e\"]", "[\"\u{fffd}\"]"),
            (b"[\"a\xff\xc3\"]", "[\"a\u{fffd}\u{fffd}\"]"),
            (b"\xef\xbb\xbf[1]", "[1]"),
            (b"[1e999,-1E+400,1e-999]", "[1e308,-1e308,1e-999]"),
            (br#"{"1e999":1e999}"#, r#"{"1e999":1e308}"#),
        ] {
            assert_eq!(repaired(body).as_deref(), Some(legible));
        }
    }

    #[test]
    fn broken_grammar_stays_broken() {
        let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
        for body in [
            "",
            "{",
            "[+1e999]",
            "[1.e999]",
            "[01e999]",
            "[--1e999]",
            "[1e999e1]",
            "[é]",
            "\"",
            "[-]",
            r#"["\u12"]"#,
            r#"["\u+12f"]"#,
            r#"["\"#,
            r#"["\x"]"#,
            "[\"\n\"]",
        ] {
            let legible = repaired(body.as_bytes()).unwrap_or(body.into());
            assert!(!is_json(&legible), "{body} {legible}");
        }
        let fine = r#"["\ud83c\udfa4\\ud83c",-0.5e+3]"#;
        assert_eq!(repaired(fine.as_bytes()), None);
    }
}
