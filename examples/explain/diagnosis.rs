//! What is wrong with a request: one fault after the other, each mended in a copy before the next is
//! looked for.

use suno_callback::{InvalidEvent, Rejection};

use crate::{
    BoxError, body,
    cause::Cause,
    head,
    layer::{Answer, Case, Facts, Layers},
    options::Options,
    signed,
};

/// The checks of the layer, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Method,
    ContentType,
    Encoding,
    Headers,
    Timestamp,
    Signature,
    Freshness,
    Size,
    Json,
    Ids,
    Signed,
}

impl Step {
    fn of(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Method => Self::Method,
            Rejection::ContentType => Self::ContentType,
            Rejection::ContentEncoding => Self::Encoding,
            Rejection::HeaderMissing | Rejection::HeaderRepeated => Self::Headers,
            Rejection::TimestampMalformed => Self::Timestamp,
            Rejection::SignatureMalformed => Self::Signature,
            Rejection::Stale { .. } | Rejection::FromTheFuture { .. } => Self::Freshness,
            Rejection::BodyTooLarge => Self::Size,
            Rejection::InvalidEvent(InvalidEvent::NotJson) => Self::Json,
            Rejection::InvalidEvent(_) => Self::Ids,
            _ => Self::Signed,
        }
    }
}

/// One reason to refuse, and its cause as far as it is known.
pub struct Fault {
    pub step: Step,
    pub rejection: Rejection,
    pub why: String,
}

pub struct Diagnosis {
    /// In the order in which the layer meets them; it says the first alone.
    pub faults: Vec<Fault>,
    /// What the handler is given, or would be, without the faults.
    pub facts: Option<Facts>,
}

impl Diagnosis {
    pub fn of(options: &Options, layers: &Layers) -> Result<Self, BoxError> {
        let mut case = Case {
            request: options.request.clone(),
            product: options.product,
            at: options.at,
        };
        let mut faults: Vec<Fault> = Vec::new();
        loop {
            let rejection = match layers.answer(&case)? {
                Answer::Refused(rejection) => rejection,
                Answer::Accepted(facts) => {
                    let facts = Some(facts);
                    return Ok(Self { faults, facts });
                }
            };
            let step = Step::of(rejection);
            // What was mended must lead on: two headers at most are there twice.
            let again = faults.iter().filter(|fault| fault.step == step).count();
            let Cause { why, mended } = cause(rejection, &case, options);
            faults.push(Fault {
                step,
                rejection,
                why,
            });
            match mended {
                Some(mended) if again < 2 => case = mended,
                _ => {
                    let facts = None;
                    return Ok(Self { faults, facts });
                }
            }
        }
    }
}

fn cause(rejection: Rejection, case: &Case, options: &Options) -> Cause {
    match Step::of(rejection) {
        Step::Method => head::method(case),
        Step::ContentType => head::content_type(case),
        Step::Encoding => head::encoding(case),
        Step::Headers => head::headers(rejection, case, options),
        Step::Timestamp => head::timestamp(case),
        Step::Signature => head::signature(case),
        Step::Freshness => head::freshness(rejection, case, options.is_now),
        Step::Size => body::size(case),
        Step::Json => body::json(case),
        Step::Ids => body::ids(rejection, case, options),
        Step::Signed => signed::cause(case, options),
    }
}
