//! The forms in which a signature is written.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};

use crate::keys::hex;

/// The bytes of a signature in whatever form, and what is wrong with the form.
pub fn bytes_of(value: &str) -> Option<(String, [u8; 32])> {
    let mut whys = Vec::new();
    let mut text = value.trim().to_owned();
    let bare = text.trim_matches(['"', '\'']).to_owned();
    if bare != text {
        whys.push("in quotes");
        text = bare;
    }
    for prefix in ["sha256=", "v1=", "hmac-sha256="] {
        if text.to_ascii_lowercase().starts_with(prefix) {
            whys.push("with a prefix");
            text.drain(..prefix.len());
        }
    }
    if text.contains('%') {
        whys.push("percent-encoded");
        let signs = [("%2b", "+"), ("%2f", "/"), ("%3d", "=")];
        for (code, sign) in signs {
            text = text.replace(code, sign).replace(&code.to_uppercase(), sign);
        }
    }
    if text.contains(' ') {
        whys.push("with plus signs that somebody decoded to blanks");
        text = text.replace(' ', "+");
    }
    let (form, bytes) = decoded(&text)?;
    whys.extend(form);
    let tag = <[u8; 32]>::try_from(bytes).ok()?;
    Some((whys.join(", "), tag))
}

fn decoded(text: &str) -> Option<(Option<&'static str>, Vec<u8>)> {
    if text.len() == 64
        && let Some(bytes) = hex(text)
    {
        return Some((Some("hexadecimal instead of base64"), bytes));
    }
    if let Ok(bytes) = STANDARD.decode(text) {
        let digits = std::str::from_utf8(&bytes).ok().filter(|it| it.len() == 64);
        return match digits.and_then(hex) {
            Some(bytes) => Some((Some("base64 of hexadecimal digits instead of bytes"), bytes)),
            None => Some((None, bytes)),
        };
    }
    let forms = [
        (STANDARD_NO_PAD.decode(text), "without its padding"),
        (URL_SAFE.decode(text), "base64url instead of base64"),
        (URL_SAFE_NO_PAD.decode(text), "base64url instead of base64"),
    ];
    let mut forms = forms.into_iter();
    forms.find_map(|(bytes, form)| Some((Some(form), bytes.ok()?)))
}
