use std::fmt;

use crate::util::Escaped;

/// How far the provider says the task is.
///
/// Open: providers differ in what they list (kie.ai's generate page does not list
/// `processing_validate_fail`, sunoapi.org's does), so a status that nobody listed is
/// [`VoiceStatus::Other`] and reaches the handler like any other. Neither case nor blanks around
/// the word matter, and `failed` is `fail`.
///
/// Sources: <https://docs.kie.ai/suno-api/suno-voice-generate-callback>,
/// <https://docs.sunoapi.org/suno-api/suno-voice-generate-callbacks.md>; for jobs
/// <https://docs.kie.ai/market/common/get-task-detail>.
///
/// # Example
///
/// ```
/// use suno_callback::{CallbackKind, VoiceEvent, VoiceStatus};
///
/// let status = |word: &str| {
///     let body = format!(r#"{{"code":200,"data":{{"taskId":"t","status":"{word}"}}}}"#);
///     VoiceEvent::parse(CallbackKind::Generate, body).map(|event| event.status().clone())
/// };
/// assert_eq!(status(" Failed")?, VoiceStatus::Fail);
/// assert_eq!(status("resting")?, VoiceStatus::Other("resting".into()));
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VoiceStatus {
    /// `wait_processing`: queued.
    WaitProcessing,
    /// `processing_validate`: the phrase or the verification is being worked on.
    ProcessingValidate,
    /// `processing_validate_fail`: the phrase or the verification failed, for good.
    ProcessingValidateFail,
    /// `wait_validating`: the phrase is ready to be sung. The good end of a validation; progress
    /// in a generation.
    WaitValidating,
    /// `success`: the voice exists.
    Success,
    /// `fail`: failed, for good.
    Fail,
    /// `waiting`, the `state` of a job. Nobody lists the word as a `status`.
    JobWaiting,
    /// `queuing`, the `state` of a job.
    JobQueuing,
    /// `generating`, the `state` of a job.
    JobGenerating,
    /// Anything else, as it was written; empty where no string was given.
    Other(Box<str>),
}

impl VoiceStatus {
    const OF_JOBS: [Self; 3] = [Self::JobWaiting, Self::JobQueuing, Self::JobGenerating];

    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(word) => word,
            listed => listed.listed(),
        }
    }

    /// The word, where it is a listed one.
    pub(super) fn listed(&self) -> &'static str {
        match self {
            Self::WaitProcessing => "wait_processing",
            Self::ProcessingValidate => "processing_validate",
            Self::ProcessingValidateFail => "processing_validate_fail",
            Self::WaitValidating => "wait_validating",
            Self::Success => "success",
            Self::Fail => "fail",
            Self::JobWaiting => "waiting",
            Self::JobQueuing => "queuing",
            Self::JobGenerating => "generating",
            Self::Other(_) => "",
        }
    }

    /// Reads the `state` of a job, which has words of its own.
    pub(super) fn of_job(state: &str) -> Self {
        if state.is_empty() {
            return Self::Other("".into());
        }
        let word = state.trim();
        let mut of_jobs = Self::OF_JOBS.into_iter();
        let listed = of_jobs.find(|it| it.as_str().eq_ignore_ascii_case(word));
        listed.unwrap_or_else(|| Self::from(state))
    }

    /// The most frequent word first.
    fn listed_as(word: &str) -> Option<Self> {
        let is = |listed: &str| word.eq_ignore_ascii_case(listed);
        Some(match () {
            () if is("success") => Self::Success,
            () if is("fail") || is("failed") => Self::Fail,
            () if is("wait_validating") => Self::WaitValidating,
            () if is("wait_processing") => Self::WaitProcessing,
            () if is("processing_validate") => Self::ProcessingValidate,
            () if is("processing_validate_fail") => Self::ProcessingValidateFail,
            () => return None,
        })
    }

    /// Whether it says that the task has failed, for good.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Fail | Self::ProcessingValidateFail)
    }

    /// Whether no string was given, or an empty one.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::Other(word) if word.trim().is_empty())
    }
}

impl From<&str> for VoiceStatus {
    fn from(status: &str) -> Self {
        if status.is_empty() {
            return Self::Other("".into());
        }
        let listed = Self::listed_as(status).or_else(|| Self::listed_as(status.trim()));
        listed.unwrap_or_else(|| Self::Other(status.into()))
    }
}

impl fmt::Display for VoiceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for VoiceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.as_str()).fmt(f)
    }
}
