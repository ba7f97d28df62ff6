//! What the command line and the environment say.

use std::{net::SocketAddr, time::Duration};

use suno_callback::{Drain, InvalidKey, SigningKey, Times};

use crate::{
    error::BoxError,
    forward::Forward,
    routes::{Asked, Route},
};

pub const USAGE: &str = "\
usage: receiver [options]
  --listen ADDR             default 127.0.0.1:8080; port 0 takes a free one
  --product NAME[:PATH]     what is received, and where: voice, voice-validate, music, lyrics, wav,
                            stems, midi, video, cover-image, job or any; default path
                            /callbacks/suno/NAME; once for each product
  --path PATH               without --product: where voices are received; default
                            /callbacks/suno/voice
  --kind generate|validate  without --product: which callback of voices; default generate
  --store STORE             where to remember what was handled: memory (default), sqlite:FILE,
                            postgres://..., redis://...; each needs its feature
  --namespace NAME          separates handlers that share a store
  --in-transaction          with PostgreSQL: the handler writes the event into the table
                            suno_voice_events, in one transaction with the store's record
  --confirm BASE_URL        ask this API before an outcome is handed over, and watch the tasks
                            that it could not answer for; not about any; needs the feature client
  --forward URL             let an app at this http:// URL handle every event: a POST with the exact
                            body, and the facts in headers; 2xx says that it did; not with
                            --in-transaction, --handler-delay or --fail-first
  --handler-delay DURATION  let the handler take this long, such as 500ms or 20s
  --fail-first N            let the handler fail the first N tries of every event
  --lease DURATION          how long a claim lasts unrenewed, with a heartbeat and store operations
                            to match; default 5s
  --drain DURATION          how long everything may take from SIGTERM to the exit; default 25s
environment:
  SUNO_WEBHOOK_HMAC_KEY           the key of the provider's settings page
  SUNO_WEBHOOK_HMAC_KEY_PREVIOUS  the key before it, while rotating
  SUNO_API_KEY                    the API key, for --confirm
";

pub struct Options {
    pub listen: SocketAddr,
    pub routes: Vec<Route>,
    pub store: String,
    pub namespace: String,
    pub in_transaction: bool,
    pub confirm: Option<String>,
    pub forward: Option<Forward>,
    pub handler_delay: Duration,
    pub fail_first: u32,
    pub times: Times,
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            routes: Vec::new(),
            store: "memory".into(),
            namespace: String::new(),
            in_transaction: false,
            confirm: None,
            forward: None,
            handler_delay: Duration::ZERO,
            fail_first: 0,
            times: Times::default(),
            drain: Drain::BOUND,
        }
    }
}

impl Options {
    pub fn parse() -> Result<Self, BoxError> {
        use lexopt::prelude::{Long, ValueExt};
        let mut options = Self::default();
        let mut asked = Asked::default();
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("listen") => options.listen = arguments.value()?.parse()?,
                Long("product") => asked.products.push(arguments.value()?.string()?),
                Long("path") => asked.path = Some(arguments.value()?.string()?),
                Long("kind") => asked.kind = Some(arguments.value()?.string()?),
                Long("store") => options.store = arguments.value()?.string()?,
                Long("namespace") => options.namespace = arguments.value()?.string()?,
                Long("in-transaction") => options.in_transaction = true,
                Long("confirm") => options.confirm = Some(arguments.value()?.string()?),
                Long("forward") => {
                    options.forward = Some(Forward::to(&arguments.value()?.string()?)?);
                }
                Long("handler-delay") => {
                    options.handler_delay = duration(&arguments.value()?.string()?)?;
                }
                Long("fail-first") => options.fail_first = arguments.value()?.parse()?,
                Long("lease") => options.times = leasing(duration(&arguments.value()?.string()?)?),
                Long("drain") => options.drain = duration(&arguments.value()?.string()?)?,
                other => return Err(other.unexpected().into()),
            }
        }
        options.routes = asked.routes()?;
        options.check_forward()?;
        Ok(options)
    }

    /// What the receiver's own handler can be told, an app cannot.
    fn check_forward(&self) -> Result<(), BoxError> {
        let own = [
            ("--in-transaction", self.in_transaction),
            ("--handler-delay", !self.handler_delay.is_zero()),
            ("--fail-first", self.fail_first > 0),
        ];
        let own = own.into_iter().find(|(_, is_there)| *is_there);
        match own.filter(|_| self.forward.is_some()) {
            Some((option, _)) => Err(format!(
                "{option} is for the receiver's own handler: with --forward the app does the work, \
                 so leave one of the two out"
            )
            .into()),
            None => Ok(()),
        }
    }
}

fn duration(text: &str) -> Result<Duration, BoxError> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let split = |(unit, factor)| Some((text.strip_suffix(unit)?, factor));
    let (number, factor) = units
        .into_iter()
        .find_map(split)
        .ok_or_else(|| format!("{text:?} needs a unit: ms, s or m"))?;
    Ok(Duration::try_from_secs_f64(
        number.parse::<f64>()? * factor,
    )?)
}

/// The times of another lease, in the proportions of the defaults.
fn leasing(lease: Duration) -> Times {
    Times {
        lease,
        heartbeat: lease * 7 / 50,
        store_operation: Duration::from_secs(1).min(lease / 5),
        ..Times::default()
    }
}

/// The keys of the environment, the current one first.
pub fn keys() -> Result<(SigningKey, Option<SigningKey>), BoxError> {
    let current = key("SUNO_WEBHOOK_HMAC_KEY")?
        .ok_or("SUNO_WEBHOOK_HMAC_KEY is not set: take the key of the provider's settings page")?;
    let previous = key("SUNO_WEBHOOK_HMAC_KEY_PREVIOUS")?;
    Ok((
        current.labelled("current"),
        previous.map(|key| key.labelled("previous")),
    ))
}

fn key(variable: &str) -> Result<Option<SigningKey>, BoxError> {
    match SigningKey::trimmed(std::env::var(variable).unwrap_or_default()) {
        Ok(key) => Ok(Some(key)),
        Err(InvalidKey::Empty) => Ok(None),
        Err(why) => Err(format!("{variable}: {why}").into()),
    }
}
