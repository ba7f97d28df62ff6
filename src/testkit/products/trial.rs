use std::fmt::Debug;

use super::{
    Samples,
    body::{Body, TASK},
};
use crate::{
    InvalidEvent, TaskId,
    product::{Event, Product, Stage},
    testkit::LawBroken,
    util::cut,
};

pub(super) type Law = Result<(), LawBroken>;

/// A product before a law.
#[derive(Clone, Copy)]
pub(super) struct Trial<'a, P> {
    law: &'static str,
    pub(super) product: &'a P,
    pub(super) samples: &'a Samples<'a>,
}

/// A sample of [`TASK`].
pub(super) struct Sample {
    /// What it is called.
    pub(super) what: String,
    pub(super) body: Body,
    pub(super) stage: Stage,
}

impl<'a, P: Product> Trial<'a, P> {
    pub(super) fn new(law: &'static str, product: &'a P, samples: &'a Samples<'a>) -> Self {
        Self {
            law,
            product,
            samples,
        }
    }

    pub(super) fn success(&self) -> Result<Sample, LawBroken> {
        self.sample("the success", self.samples.success, Stage::Success)
    }

    pub(super) fn failure(&self) -> Result<Sample, LawBroken> {
        self.sample("the failure", self.samples.failure, Stage::Failure)
    }

    pub(super) fn progress(&self) -> Result<Vec<Sample>, LawBroken> {
        let progress = self.samples.progress.iter().enumerate();
        let sample = |(at, (text, stage)): (usize, &(&str, Stage))| {
            self.sample(&format!("progress {at} ({stage:?})"), text, *stage)
        };
        progress.map(sample).collect()
    }

    /// The success, the failure, and each progress.
    pub(super) fn callbacks(&self) -> Result<Vec<Sample>, LawBroken> {
        let mut all = vec![self.success()?, self.failure()?];
        all.extend(self.progress()?);
        Ok(all)
    }

    pub(super) fn records(&self) -> Result<Vec<Sample>, LawBroken> {
        let records = self.samples.records.iter().enumerate();
        let record = |(at, (text, stage)): (usize, &(&str, Stage))| {
            let what = format!("record {at} ({stage:?})");
            self.object(&what, text).map(|body| Sample {
                what,
                body: body.about(TASK),
                stage: *stage,
            })
        };
        records.map(record).collect()
    }

    /// What means nothing to the product: the author's samples, and two that nobody's keys are in.
    pub(super) fn unknown(&self) -> Result<Vec<Body>, LawBroken> {
        let made_up = ["a", "b"].map(Body::unheard_of);
        let given = self.samples.unknown.iter();
        let mut all = given
            .map(|text| self.sample("unknown content", text, Stage::Unknown))
            .map(|sample| sample.map(|it| it.body))
            .collect::<Result<Vec<_>, _>>()?;
        all.extend(made_up);
        Ok(all)
    }

    fn sample(&self, what: &str, text: &str, stage: Stage) -> Result<Sample, LawBroken> {
        let body = self.object(what, text)?;
        self.holds(body.has_id(), || {
            format!("the sample of {what} names no task")
        })?;
        Ok(Sample {
            what: what.into(),
            body: body.about(TASK),
            stage,
        })
    }

    fn object(&self, what: &str, text: &str) -> Result<Body, LawBroken> {
        let broken = || self.broken(format!("the sample of {what} is no JSON object"));
        Body::of(text).ok_or_else(broken)
    }

    /// Reads a callback, which must be one.
    pub(super) fn read(&self, what: &str, body: &str) -> Result<P::Event, LawBroken> {
        let read = self.product.parse(body);
        read.map_err(|why| self.broken(format!("{what} is refused: {why}")))
    }

    /// Reads a record, which must be one.
    pub(super) fn read_record(&self, what: &str, record: &str) -> Result<P::Event, LawBroken> {
        let read = self.product.parse_record(&self.task()?, record);
        read.map_err(|why: InvalidEvent| self.broken(format!("{what} is refused: {why}")))
    }

    pub(super) fn task(&self) -> Result<TaskId, LawBroken> {
        TaskId::new(TASK).map_err(|why| self.broken(why.to_string()))
    }

    pub(super) fn equal<T: PartialEq + Debug>(&self, is: T, must: T, what: &str) -> Law {
        let holds = is == must;
        self.holds(holds, || format!("{what}: must be {must:?}, was {is:?}"))
    }

    pub(super) fn holds(&self, holds: bool, otherwise: impl FnOnce() -> String) -> Law {
        match holds {
            true => Ok(()),
            false => Err(self.broken(otherwise())),
        }
    }

    pub(super) fn broken(&self, how: impl Into<String>) -> LawBroken {
        LawBroken::by_product(self.law, how)
    }
}

/// What an event says, to be compared with what another says.
pub(super) fn said<E: Event>(event: &E) -> impl PartialEq + Debug + use<E> {
    (
        event.task_id().clone(),
        event.stage(),
        (event.name().to_owned(), event.variant().to_owned()),
        (event.result().map(str::to_owned), event.results()),
        (event.is_final(), event.foreign(), event.product().name()),
        (event.body().to_owned(), format!("{event:?}")),
    )
}

/// A body, short enough to be read.
pub(super) fn shown(body: impl AsRef<[u8]>) -> String {
    let text = String::from_utf8_lossy(body.as_ref());
    let start = cut(&text, 500);
    let end = if start.len() < text.len() { "..." } else { "" };
    format!("{start:?}{end}")
}
