//! What the command line and the environment say.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{
    BoxError,
    captured::Captured,
    curl,
    keys::Keys,
    layer::{self, Route},
};

pub const USAGE: &str = "\
usage: explain (--headers FILE --body FILE | --curl FILE [--body FILE]) [options]
  --headers FILE  the head of the request: lines of NAME: VALUE, and its first line, if you have it
  --body FILE     its body, byte for byte
  --curl FILE     what `curl -v` printed; it prints no body, so give that with --body, or let the
                  file begin with the command and its --data
  --product NAME  whose route it came to: voice (default), voice-validate, music, lyrics, wav, stems,
                  midi, video, cover-image, job or any
  --at SECONDS    when it came, in Unix seconds; default now
environment:
  SUNO_WEBHOOK_HMAC_KEY           the key as the receiver has it
  SUNO_WEBHOOK_HMAC_KEY_PREVIOUS  the key before it, while rotating
";

pub struct Options {
    pub request: Captured,
    pub product: Route,
    pub at: u64,
    pub is_now: bool,
    pub keys: Keys,
}

impl Options {
    pub fn parse() -> Result<Self, BoxError> {
        use lexopt::prelude::{Long, ValueExt};
        let (mut headers, mut body, mut curl) = (None, None, None);
        let (mut product, mut at) = (String::from("voice"), None);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("headers") => headers = Some(arguments.value()?.string()?),
                Long("body") => body = Some(arguments.value()?.string()?),
                Long("curl") => curl = Some(arguments.value()?.string()?),
                Long("product") => product = arguments.value()?.string()?,
                Long("at") => at = Some(seconds(&arguments.value()?.string()?)?),
                other => return Err(other.unexpected().into()),
            }
        }
        let body = body.map(|file| read(&file)).transpose()?;
        let request = match (headers, curl) {
            (Some(file), None) => Captured::new(
                &text(&file)?,
                body.ok_or("--body is missing: the signature is for an id in it")?,
            ),
            (None, Some(file)) => curl::captured(&text(&file)?, body),
            _ => Err("give either --headers or --curl".into()),
        };
        Ok(Self {
            request: request?,
            product: layer::route(&product)?,
            at: at.unwrap_or_else(now),
            is_now: at.is_none(),
            keys: Keys::of_environment()?,
        })
    }
}

fn seconds(text: &str) -> Result<u64, BoxError> {
    let seconds = text.parse().ok().filter(|it| *it < 1_000_000_000_000);
    seconds.ok_or_else(|| "--at is a time in Unix seconds, such as 1764150000".into())
}

fn read(file: &str) -> Result<Vec<u8>, BoxError> {
    std::fs::read(file).map_err(|error| format!("cannot read {file}: {error}").into())
}

fn text(file: &str) -> Result<String, BoxError> {
    String::from_utf8(read(file)?).map_err(|_| format!("{file} is no text").into())
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
