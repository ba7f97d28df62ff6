use std::fmt;

use super::text::Escaped;

/// How far the provider says the task is.
///
/// Open: providers differ in what they list (kie.ai's generate page does not list
/// `processing_validate_fail`, sunoapi.org's does), so a status that nobody listed is
/// [`VoiceStatus::Other`] and reaches the handler like any other.
///
/// Sources: <https://docs.kie.ai/suno-api/suno-voice-generate-callback>,
/// <https://docs.sunoapi.org/suno-api/suno-voice-generate-callbacks.md>.
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
    /// Anything else, as it was written; empty where no string was given.
    Other(Box<str>),
}

impl VoiceStatus {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::WaitProcessing => "wait_processing",
            Self::ProcessingValidate => "processing_validate",
            Self::ProcessingValidateFail => "processing_validate_fail",
            Self::WaitValidating => "wait_validating",
            Self::Success => "success",
            Self::Fail => "fail",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for VoiceStatus {
    fn from(word: &str) -> Self {
        match word {
            "wait_processing" => Self::WaitProcessing,
            "processing_validate" => Self::ProcessingValidate,
            "processing_validate_fail" => Self::ProcessingValidateFail,
            "wait_validating" => Self::WaitValidating,
            "success" => Self::Success,
            "fail" => Self::Fail,
            other => Self::Other(other.into()),
        }
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
