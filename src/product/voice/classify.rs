//! Status, code and ids: what they say together.

use super::{CallbackKind, Inconsistency, VoiceId, VoiceStatus};

/// The outcome without what it borrows from the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
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
    pub(super) fn meaning(&self) -> Meaning {
        if self.key_repeated {
            return Meaning::Inconsistent(Inconsistency::RepeatedKey);
        }
        match self.status {
            VoiceStatus::Fail | VoiceStatus::ProcessingValidateFail => Meaning::Failed,
            VoiceStatus::WaitValidating if !self.phrase.trim().is_empty() => self.phrase(),
            VoiceStatus::WaitValidating
            | VoiceStatus::WaitProcessing
            | VoiceStatus::ProcessingValidate
            | VoiceStatus::JobWaiting
            | VoiceStatus::JobQueuing
            | VoiceStatus::JobGenerating => Meaning::Pending,
            _ if self.is_foreign => Meaning::Unknown,
            VoiceStatus::Success => self.success(),
            VoiceStatus::Other(_) => self.without_status(),
        }
    }

    /// What tells an inconsistent event from others: what it claims, because the order of keys and
    /// a message make no new event. `None` where nobody can say what that is.
    pub(super) fn claim(&self, meaning: Meaning) -> Option<Box<str>> {
        match meaning {
            Meaning::Inconsistent(Inconsistency::RepeatedKey | Inconsistency::VoiceIdDamaged) => {
                None
            }
            Meaning::Inconsistent(_) => {
                // A record has no code of its own; callback and poll say the same.
                let code = self.code.unwrap_or(Code::Is(200));
                let (status, voice_id, phrase) = (self.status, self.voice_id, self.phrase);
                let status = status.as_str();
                Some(format!("{code:?} {status:?} {voice_id:?} {phrase:?}").into())
            }
            _ => None,
        }
    }

    fn success(&self) -> Meaning {
        if self.some_status_fails {
            return Meaning::Inconsistent(Inconsistency::StatusDenies);
        }
        match self.voice_id.trim() {
            "" if self.kind == CallbackKind::Validate && !self.phrase.trim().is_empty() => {
                self.phrase()
            }
            "" => Meaning::Inconsistent(Inconsistency::NoVoiceId),
            _ if self.voice_id == "fail" => Meaning::Inconsistent(Inconsistency::VoiceIdSaysFail),
            _ if self.voice_id_damaged => Meaning::Inconsistent(Inconsistency::VoiceIdDamaged),
            _ if self.is_denied() => Meaning::Inconsistent(Inconsistency::CodeDenies),
            _ => Meaning::Ready,
        }
    }

    fn phrase(&self) -> Meaning {
        match self.is_denied() {
            true => Meaning::Inconsistent(Inconsistency::CodeDenies),
            false => Meaning::PhraseReady,
        }
    }

    /// Nothing is claimed but what code and result say. A code that is not 200 says failure, and a
    /// result beside it denies that.
    fn without_status(&self) -> Meaning {
        let has_result = VoiceId::is_valid(self.voice_id) || !self.phrase.trim().is_empty();
        let fails = matches!(self.code, Some(Code::Is(code)) if code != 200);
        match (fails, has_result) {
            (true, true) => Meaning::Inconsistent(Inconsistency::CodeDenies),
            (true, false) => Meaning::Failed,
            (false, _) if self.voice_id == "fail" && self.status.is_none() => {
                Meaning::Inconsistent(Inconsistency::VoiceIdSaysFail)
            }
            (false, _) => Meaning::Unknown,
        }
    }

    fn is_denied(&self) -> bool {
        self.code.is_some_and(Code::denies)
    }
}
