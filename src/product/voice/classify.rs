//! Status, code and ids: what they say together.

use super::{CallbackKind, Inconsistency, VoiceId, VoiceStatus};

/// The outcome without what it borrows from the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutcomeKind {
    Ready,
    PhraseReady,
    Failed,
    Pending,
    Inconsistent(Inconsistency),
    Unknown,
}

/// What the decision looks at.
pub(super) struct Evidence<'a> {
    pub(super) kind: CallbackKind,
    /// `None` in a record that was fetched: there `code` is the API's own.
    pub(super) code: Option<Code>,
    pub(super) status: &'a VoiceStatus,
    pub(super) some_status_fails: bool,
    pub(super) voice_id: &'a str,
    pub(super) voice_id_damaged: bool,
    pub(super) phrase: &'a str,
    pub(super) key_repeated: bool,
    pub(super) is_foreign: bool,
}

/// The `code` of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Is(i64),
    /// Absent, null, or not a whole number.
    None,
}

impl Code {
    /// Whether it says that there is no result.
    pub(super) fn denies(self) -> bool {
        self != Self::Is(200)
    }
}

impl Evidence<'_> {
    pub(super) fn classify(&self) -> OutcomeKind {
        if self.key_repeated {
            return OutcomeKind::Inconsistent(Inconsistency::RepeatedKey);
        }
        match self.status {
            VoiceStatus::Fail | VoiceStatus::ProcessingValidateFail => OutcomeKind::Failed,
            VoiceStatus::WaitValidating if !self.phrase.trim().is_empty() => self.phrase(),
            VoiceStatus::WaitValidating
            | VoiceStatus::WaitProcessing
            | VoiceStatus::ProcessingValidate
            | VoiceStatus::JobWaiting
            | VoiceStatus::JobQueuing
            | VoiceStatus::JobGenerating => OutcomeKind::Pending,
            _ if self.is_foreign => OutcomeKind::Unknown,
            VoiceStatus::Success => self.success(),
            VoiceStatus::Other(_) => self.without_status(),
        }
    }

    /// What tells an inconsistent event from others: what it claims, because the order of keys and
    /// a message make no new event. `None` where nobody can say what that is.
    pub(super) fn claim(&self, outcome: OutcomeKind) -> Option<Box<str>> {
        match outcome {
            OutcomeKind::Inconsistent(
                Inconsistency::RepeatedKey | Inconsistency::VoiceIdDamaged,
            ) => None,
            OutcomeKind::Inconsistent(_) => {
                // A record has no code of its own; callback and poll say the same.
                let code = self.code.unwrap_or(Code::Is(200));
                let (status, voice_id, phrase) = (self.status, self.voice_id, self.phrase);
                let status = status.as_str();
                Some(format!("{code:?} {status:?} {voice_id:?} {phrase:?}").into())
            }
            _ => None,
        }
    }

    fn success(&self) -> OutcomeKind {
        if self.some_status_fails {
            return OutcomeKind::Inconsistent(Inconsistency::StatusDenies);
        }
        match self.voice_id.trim_start() {
            "" if self.kind == CallbackKind::Validate && !self.phrase.trim().is_empty() => {
                self.phrase()
            }
            "" => OutcomeKind::Inconsistent(Inconsistency::NoVoiceId),
            _ if self.voice_id == "fail" => {
                OutcomeKind::Inconsistent(Inconsistency::VoiceIdSaysFail)
            }
            _ if self.voice_id_damaged => OutcomeKind::Inconsistent(Inconsistency::VoiceIdDamaged),
            _ if self.is_denied() => OutcomeKind::Inconsistent(Inconsistency::CodeDenies),
            _ => OutcomeKind::Ready,
        }
    }

    fn phrase(&self) -> OutcomeKind {
        match self.is_denied() {
            true => OutcomeKind::Inconsistent(Inconsistency::CodeDenies),
            false => OutcomeKind::PhraseReady,
        }
    }

    /// Nothing is claimed but what code and result say. A code that is not 200 says failure, and a
    /// result beside it denies that.
    fn without_status(&self) -> OutcomeKind {
        let has_result = VoiceId::is_valid(self.voice_id) || !self.phrase.trim().is_empty();
        let fails = matches!(self.code, Some(Code::Is(code)) if code != 200);
        match (fails, has_result) {
            (true, true) => OutcomeKind::Inconsistent(Inconsistency::CodeDenies),
            (true, false) => OutcomeKind::Failed,
            (false, _) if self.voice_id == "fail" && self.status.is_none() => {
                OutcomeKind::Inconsistent(Inconsistency::VoiceIdSaysFail)
            }
            (false, _) => OutcomeKind::Unknown,
        }
    }

    fn is_denied(&self) -> bool {
        self.code.is_some_and(Code::denies)
    }
}
