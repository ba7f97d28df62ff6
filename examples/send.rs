//! Plays the provider: signs a callback, sends it, and tries again by the provider's rules (15 s,
//! three retries, only 200 counts).
//!
//! ```sh
//! SUNO_WEBHOOK_HMAC_KEY=... cargo run --example send -- --to http://127.0.0.1:8080/callbacks/suno/voice
//! ```
//!
//! Exits 0 when every callback was received, 1 when one was not, 2 for wrong usage.

mod support;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use http::Uri;
use suno_callback::{CallbackKind, SigningKey};
use support::{BoxError, Callback, Pair, Sender, unix_now};

const USAGE: &str = "\
usage: send --to URL [options]
  --task-id ID              default: a new one
  --status STATUS           default success (validate: wait_validating)
  --voice-id ID             default voice_1; the phrase with --kind validate
  --kind generate|validate  default generate
  --times N                 send it N times, one after the other; default 1
  --parallel N              send N twins at once each time; default 1
  --backoff SECONDS         pause before a retry; default 1, the provider's is not documented
  --forge                   sign with a wrong key
  --stale                   sign an hour ago
environment:
  SUNO_WEBHOOK_HMAC_KEY     the key to sign with
";

struct Options {
    to: Uri,
    callback: Callback,
    times: usize,
    parallel: usize,
    backoff: Duration,
    key: SigningKey,
    age: u64,
}

impl Options {
    fn parse() -> Result<Self, BoxError> {
        use lexopt::prelude::{Long, ValueExt};
        let (mut to, mut forge, mut age) = (None, false, 0);
        let (mut task_id, mut status, mut result) = (None, None, None);
        let (mut times, mut parallel, mut backoff) = (1, 1, 1.0);
        let mut kind = CallbackKind::Generate;
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("to") => to = Some(arguments.value()?.string()?.parse()?),
                Long("task-id") => task_id = Some(arguments.value()?.string()?),
                Long("status") => status = Some(arguments.value()?.string()?),
                Long("voice-id") => result = Some(arguments.value()?.string()?),
                Long("kind") => match arguments.value()?.string()?.as_str() {
                    "generate" => kind = CallbackKind::Generate,
                    "validate" => kind = CallbackKind::Validate,
                    other => return Err(format!("{other:?} is no kind").into()),
                },
                Long("times") => times = arguments.value()?.parse()?,
                Long("parallel") => parallel = arguments.value()?.parse()?,
                Long("backoff") => backoff = arguments.value()?.parse()?,
                Long("forge") => forge = true,
                Long("stale") => age = 3600,
                other => return Err(other.unexpected().into()),
            }
        }
        let key = std::env::var("SUNO_WEBHOOK_HMAC_KEY").unwrap_or_default();
        let key = if forge { format!("not {key}") } else { key };
        let status = status.unwrap_or_else(|| default_status(kind).into());
        let result = result.unwrap_or_else(|| default_result(&status).into());
        Ok(Self {
            to: to.ok_or("--to is missing")?,
            callback: Callback {
                kind,
                task_id: task_id.unwrap_or_else(new_task_id),
                status,
                result,
            },
            times,
            parallel,
            backoff: Duration::try_from_secs_f64(backoff)?,
            key: SigningKey::trimmed(key).map_err(|why| format!("SUNO_WEBHOOK_HMAC_KEY: {why}"))?,
            age,
        })
    }
}

fn default_status(kind: CallbackKind) -> &'static str {
    match kind {
        CallbackKind::Validate => "wait_validating",
        _ => "success",
    }
}

fn default_result(status: &str) -> &'static str {
    match status {
        "success" => "voice_1",
        "wait_validating" => "sing this phrase",
        _ => "",
    }
}

fn new_task_id() -> String {
    format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}

/// One callback with the provider's retries; true when it was received.
async fn deliver(options: &Options, sender: &Sender) -> bool {
    const RETRIES: usize = 3;
    for attempt in 1..=RETRIES + 1 {
        // Signed anew for every try: the header is the time of sending.
        let timestamp = unix_now() - options.age;
        let pair = Pair::sign(&options.key, &options.callback.task_id, timestamp);
        let began = Instant::now();
        let answer = sender.send(&pair, options.callback.body()).await;
        let took = began.elapsed();
        let task = &options.callback.task_id;
        match answer {
            Ok(ref answer) => println!("{task} try {attempt}: {} in {took:.1?}", answer.status),
            Err(ref error) => println!("{task} try {attempt}: {error} in {took:.1?}"),
        }
        if answer.is_ok_and(|answer| answer.status == 200) {
            return true;
        }
        if attempt <= RETRIES {
            tokio::time::sleep(options.backoff).await;
        }
    }
    false
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprint!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let sender = Sender::new(options.to.clone());
    let mut all_received = true;
    for _ in 0..options.times {
        let twins = (0..options.parallel).map(|_| deliver(&options, &sender));
        all_received &= join_all(twins).await.into_iter().all(|received| received);
    }
    ExitCode::from(u8::from(!all_received))
}
