use crate::product::Stage;

/// Bodies of a product, as the provider sends them, for the [laws](super) to play with.
///
/// All may speak of one task or of several: the laws put ids of their own in the places of theirs.
/// Each is a JSON object that names its task. Give real ones, and small ones: of an array the laws
/// change the first items alone.
///
/// # Example
///
/// ```
/// use suno_callback::product::Stage;
/// use suno_callback::testkit::products::Samples;
///
/// const QUEUED: &str = r#"{"code":200,"data":{"taskId":"t","status":"wait_processing"}}"#;
///
/// let samples = Samples::new(
///     r#"{"code":200,"data":{"taskId":"t","status":"success","voiceId":"v"}}"#,
///     r#"{"code":500,"data":{"taskId":"t","status":"fail"}}"#,
/// )
/// .progress(&[(QUEUED, Stage::Progress { name: "wait_processing", step: 0 })]);
/// # let _ = samples;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    pub(super) success: &'a str,
    pub(super) failure: &'a str,
    pub(super) progress: &'a [(&'a str, Stage)],
    pub(super) records: &'a [(&'a str, Stage)],
    pub(super) unknown: &'a [&'a str],
    pub(super) code_counts: bool,
    pub(super) by_body: bool,
}

impl<'a> Samples<'a> {
    /// The callback of a task that has succeeded, and that of one that has failed.
    pub const fn new(success: &'a str, failure: &'a str) -> Self {
        Self {
            success,
            failure,
            progress: &[],
            records: &[],
            unknown: &[],
            code_counts: true,
            by_body: false,
        }
    }

    /// A callback for each step on the way, with the stage that it must have. Default: none.
    pub const fn progress(self, progress: &'a [(&'a str, Stage)]) -> Self {
        Self { progress, ..self }
    }

    /// What the provider's API answers when it is asked about the same task, with the stage that it
    /// must have: a success must have the result of the sample. Default: none.
    pub const fn records(self, records: &'a [(&'a str, Stage)]) -> Self {
        Self { records, ..self }
    }

    /// Callbacks that a receiver of this product may get and that mean nothing to it, such as those
    /// of another product. Default: none; the laws make up some of their own.
    pub const fn unknown(self, unknown: &'a [&'a str]) -> Self {
        Self { unknown, ..self }
    }

    /// The envelope's `code` says nothing about the task, so no code can deny a success.
    pub const fn without_code(self) -> Self {
        Self {
            code_counts: false,
            ..self
        }
    }

    /// The product knows too little of its events to tell them apart by anything but their whole
    /// bodies, as [`AnyProduct`](crate::product::AnyProduct) does: then an event told in other words
    /// is another one, nothing is late, and no two results are a conflict.
    pub const fn told_apart_by_body(self) -> Self {
        Self {
            by_body: true,
            ..self
        }
    }
}
