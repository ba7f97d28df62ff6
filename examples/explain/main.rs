//! Says what the layer sees in a captured request, step by step, and why it refuses it.
//!
//! ```sh
//! SUNO_WEBHOOK_HMAC_KEY=... cargo run --example explain -- --headers head.txt --body body.json --at 1764150000
//! SUNO_WEBHOOK_HMAC_KEY=... cargo run --example explain -- --curl curl-v.txt --body body.json
//! ```
//!
//! A real layer decides, at the time of `--at`. Where it refuses, the cause is looked for among the
//! usual mistakes and mended in a copy, which the layer is given again: so one run names every fault
//! that is in the way. Neither a key nor a signature is printed.
//! It is for providers that sign, not for a layer that is `unsigned`.
//!
//! Exits 0 when the request is accepted, 1 when it is refused, 2 for wrong usage.

mod body;
mod captured;
mod cause;
mod curl;
mod diagnosis;
mod head;
mod keys;
mod layer;
mod options;
mod report;
mod signed;
mod spelling;
mod texts;

use std::process::ExitCode;

use self::{diagnosis::Diagnosis, layer::Layers, options::Options};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn explain() -> Result<bool, BoxError> {
    let options = Options::parse()?;
    let layers = Layers::new(options.keys.signing())?;
    let diagnosis = Diagnosis::of(&options, &layers)?;
    let is_accepted = options.keys.fault().is_none() && diagnosis.faults.is_empty();
    report::print(&options, &diagnosis)?;
    Ok(is_accepted)
}

fn main() -> ExitCode {
    match explain() {
        Ok(is_accepted) => ExitCode::from(u8::from(!is_accepted)),
        Err(error) => {
            eprint!("{error}\n{}", options::USAGE);
            ExitCode::from(2)
        }
    }
}
