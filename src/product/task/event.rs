use std::{fmt, sync::Arc};

use super::{Dialect, Reading, TaskFailure, TaskOutcome};
use crate::{
    event::{Scanned, Stage, TaskId},
    product::{Event, Product, Source},
    util::Escaped,
};

/// One event in the life of a task of the product `P`: cheap to clone.
///
/// Each product has a name for it ([`MusicEvent`](crate::product::MusicEvent),
/// [`WavEvent`](crate::product::WavEvent), ...) and typed accessors of its own.
///
/// How far it can be trusted says the `Delivery` beside it: the provider signs the task id and the
/// time, **not** what the event says about the task. Every text and link in it is hostile until the
/// provider was asked: escape texts, and fetch links with care.
///
/// `Debug` shows the task, the stage and the provider's word for it, escaped: no text and no link.
#[derive(Clone)]
pub struct TaskEvent<P> {
    product: P,
    reading: Arc<Reading>,
}

/// The event of what was scanned.
pub(in crate::product) fn read<P: Dialect>(
    product: &P,
    task_id: TaskId,
    source: Source,
    scanned: &Scanned<'_>,
    body: &str,
) -> TaskEvent<P> {
    TaskEvent {
        product: product.clone(),
        reading: Arc::new(Reading::of::<P>(task_id, source, scanned, body)),
    }
}

impl<P> TaskEvent<P> {
    /// What the event means; `ready` reads the result of a success.
    pub(in crate::product) fn outcome_of<T>(
        &self,
        ready: impl FnOnce() -> Option<T>,
    ) -> TaskOutcome<'_, T> {
        match self.reading.stage {
            Stage::Success => ready().map_or(TaskOutcome::Unknown, TaskOutcome::Ready),
            Stage::Failure => TaskOutcome::Failed(TaskFailure(&self.reading)),
            Stage::Progress { .. } => TaskOutcome::Pending,
            Stage::Inconsistent { why } => TaskOutcome::Inconsistent(why),
            Stage::Unknown => TaskOutcome::Unknown,
        }
    }

    pub(in crate::product) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The task that the event is about: the one whose signature was verified.
    pub fn task_id(&self) -> &TaskId {
        &self.reading.task_id
    }

    /// How far the task is.
    pub fn stage(&self) -> Stage {
        self.reading.stage
    }

    /// The provider's own word for that, such as `complete` or `PENDING`; empty where it gave none.
    /// Hostile until confirmed.
    pub fn name(&self) -> &str {
        self.reading.name()
    }

    /// The envelope's `code`, where it is a whole number. `None` in a record that was fetched.
    pub fn code(&self) -> Option<i64> {
        self.reading.code
    }

    /// What a failed task says about its failure; `None` for every other stage.
    pub fn failure(&self) -> Option<TaskFailure<'_>> {
        (self.reading.stage == Stage::Failure).then_some(TaskFailure(&self.reading))
    }

    /// The JSON that this event was read from: as it came, or with replacement characters for what
    /// was no text in it. It may hold the callback URL, so it is nothing for a log.
    pub fn body(&self) -> &str {
        &self.reading.body
    }
}

impl<P: Dialect> Event for TaskEvent<P> {
    type Product = P;

    fn product(&self) -> P {
        self.product.clone()
    }

    fn task_id(&self) -> &TaskId {
        &self.reading.task_id
    }

    fn body(&self) -> &str {
        &self.reading.body
    }

    fn stage(&self) -> Stage {
        self.reading.stage
    }

    fn name(&self) -> &str {
        self.reading.name()
    }

    fn variant(&self) -> &str {
        let Reading { claim, body, .. } = &*self.reading;
        match self.reading.stage {
            _ if P::IS_UNTYPED => body,
            Stage::Inconsistent { .. } => claim.as_deref().unwrap_or(body),
            Stage::Unknown => body,
            Stage::Success | Stage::Failure | Stage::Progress { .. } => "",
        }
    }

    fn result(&self) -> Option<&str> {
        self.reading.result.as_deref()
    }

    fn results(&self) -> Vec<String> {
        match self.reading.stage {
            Stage::Success | Stage::Progress { .. } => self.reading.content(P::results),
            _ => Vec::new(),
        }
    }

    fn foreign(&self) -> Option<&'static str> {
        self.reading.foreign
    }
}

impl<P: Product> fmt::Debug for TaskEvent<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskEvent")
            .field("product", &self.product.name())
            .field("task_id", &self.reading.task_id)
            .field("stage", &self.reading.stage)
            .field("name", &Escaped(self.reading.name()))
            .finish_non_exhaustive()
    }
}
