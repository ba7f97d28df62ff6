//! Plays the provider: signs a callback, sends it, and tries again by the provider's rules (15 s,
//! three retries, only 200 counts).
//!
//! ```sh
//! SUNO_WEBHOOK_HMAC_KEY=... cargo run --example send -- --to http://127.0.0.1:8080/callbacks/suno/voice
//! SUNO_WEBHOOK_HMAC_KEY=... cargo run --example send -- --to http://127.0.0.1:8080/callbacks/suno/music --product music --stage first
//! ```
//!
//! Exits 0 when every callback was received, 1 when one was not, 2 for wrong usage.

mod support;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::Uri;
use suno_callback::{CallbackKind, SigningKey};
use support::{
    BoxError, Callback, Pair, Sender,
    documented::{self, Documented},
    unix_now,
};

const USAGE: &str = "\
usage: send --to URL [options]
  --product NAME            what the callback is of: voice, voice-validate, music, lyrics, wav, stems,
                            midi, video, cover-image, job or any; its documented body is sent
  --stage STAGE             of the product: the provider's word, such as first, or success, failure
                            or progress; default the success
  --fixture FILE            send the body of FILE as it is, signed for the task in it; with --product
                            and --stage only where it is that
  --task-id ID              default: a new one
  --status STATUS           without --product: of a voice; default success (validate: wait_validating)
  --voice-id ID             without --product: default voice_1; the phrase with --kind validate
  --kind generate|validate  without --product: default generate
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
    callback: Signed,
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
        let (mut times, mut parallel, mut backoff) = (1, 1, 1.0);
        let mut asked = Asked::default();
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("to") => to = Some(arguments.value()?.string()?.parse()?),
                Long("times") => times = arguments.value()?.parse()?,
                Long("parallel") => parallel = arguments.value()?.parse()?,
                Long("backoff") => backoff = arguments.value()?.parse()?,
                Long("forge") => forge = true,
                Long("stale") => age = 3600,
                Long(name) => match asked.option(name) {
                    Some(value) => *value = Some(arguments.value()?.string()?),
                    None => return Err(argument.unexpected().into()),
                },
                other => return Err(other.unexpected().into()),
            }
        }
        let key = std::env::var("SUNO_WEBHOOK_HMAC_KEY").unwrap_or_default();
        let key = if forge { format!("not {key}") } else { key };
        Ok(Self {
            to: to.ok_or("--to is missing")?,
            callback: asked.callback()?,
            times,
            parallel,
            backoff: Duration::try_from_secs_f64(backoff)?,
            key: SigningKey::trimmed(key).map_err(|why| format!("SUNO_WEBHOOK_HMAC_KEY: {why}"))?,
            age,
        })
    }
}

/// A body, and the task that its signature is for.
struct Signed {
    task_id: String,
    body: Bytes,
}

/// What the command line says about the body.
#[derive(Default)]
struct Asked {
    product: Option<String>,
    stage: Option<String>,
    fixture: Option<String>,
    task_id: Option<String>,
    kind: Option<String>,
    status: Option<String>,
    voice_id: Option<String>,
}

impl Asked {
    fn option(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "product" => &mut self.product,
            "stage" => &mut self.stage,
            "fixture" => &mut self.fixture,
            "task-id" => &mut self.task_id,
            "kind" => &mut self.kind,
            "status" => &mut self.status,
            "voice-id" => &mut self.voice_id,
            _ => return None,
        })
    }

    fn callback(self) -> Result<Signed, BoxError> {
        let of_voice = [&self.kind, &self.status, &self.voice_id];
        let is_of_voice = of_voice.iter().any(|option| option.is_some());
        match (&self.product, &self.fixture) {
            (None, _) if self.stage.is_some() => Err("--stage needs --product".into()),
            (None, None) => self.voice(),
            _ if is_of_voice => Err(
                "--kind, --status and --voice-id make a voice's body: they do \
                                     not go with --product or --fixture"
                    .into(),
            ),
            (_, Some(file)) => self.load(file),
            (Some(product), None) => {
                let product = Documented::named(product)?;
                let task_id = self.task_id.unwrap_or_else(new_task_id);
                let body = product.body(self.stage.as_deref(), &task_id)?;
                Ok(Signed { task_id, body })
            }
        }
    }

    fn load(&self, file: &str) -> Result<Signed, BoxError> {
        let body = std::fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?;
        if let Some(product) = &self.product {
            let read = Documented::named(product)?.read(&body);
            let read = read.map_err(|why| format!("{file} is no callback: {why}"))?;
            if let Some(stage) = self.stage.as_ref().filter(|stage| !read.is(stage)) {
                return Err(format!("{file} is no {stage} of {product}, but {read}").into());
            }
        }
        let task_id = match &self.task_id {
            Some(task_id) => task_id.clone(),
            None => documented::task_id(&body)
                .map_err(|why| format!("{file} needs a --task-id: {why}"))?
                .to_string(),
        };
        let body = body.into();
        Ok(Signed { task_id, body })
    }

    fn voice(self) -> Result<Signed, BoxError> {
        let kind = match self.kind.as_deref() {
            None | Some("generate") => CallbackKind::Generate,
            Some("validate") => CallbackKind::Validate,
            Some(other) => return Err(format!("{other:?} is no kind").into()),
        };
        let status = self.status.unwrap_or_else(|| default_status(kind).into());
        let result = self.voice_id;
        let callback = Callback {
            kind,
            task_id: self.task_id.unwrap_or_else(new_task_id),
            result: result.unwrap_or_else(|| default_result(&status).into()),
            status,
        };
        let body = callback.body();
        Ok(Signed {
            task_id: callback.task_id,
            body,
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
        let answer = sender.send(&pair, options.callback.body.clone()).await;
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
