//! What a body says about a voice, wherever it says it.
//!
//! Since September 2026 the Suno products are served as market jobs too, and which of the two
//! shapes a task calls back with is not settled. A job has `state` for `status`, `failCode` and
//! `failMsg` for `errorCode` and `errorMessage`, and its result is a JSON text in `resultJson`.

use super::{field, status::VoiceStatus};
use crate::event::{Scanned, Value};

/// The scanned of a body, and those of the job result in it.
pub(super) struct Content<'c> {
    scanned: &'c Scanned<'c>,
    result: Option<&'c Scanned<'c>>,
}

impl<'c> Content<'c> {
    pub(super) fn new(scanned: &'c Scanned<'c>, result: Option<&'c Scanned<'c>>) -> Self {
        Self { scanned, result }
    }

    /// The value of a field; where the body has none, that of the job's result.
    pub(super) fn get(&self, field: u8) -> &'c Value<'c> {
        let own = self.scanned.get(field);
        match self.result {
            Some(result) if own.is_blank() => result.get(field),
            _ => own,
        }
    }

    pub(super) fn text(&self, field: u8) -> &'c str {
        self.get(field).as_str().unwrap_or_default()
    }

    /// The first of what the body, its job and the job's result say, and whether one of them says
    /// that the task has failed. A job that is done says nothing of a phrase that is ready: there
    /// its result counts.
    pub(super) fn status(&self) -> (VoiceStatus, bool) {
        let own = VoiceStatus::from(text(self.scanned, field::STATUS));
        let job = VoiceStatus::of_job(text(self.scanned, field::STATE));
        let result = self.result.map_or("", |result| text(result, field::STATUS));
        let result = VoiceStatus::from(result);
        let some_fail = [&own, &job, &result]
            .into_iter()
            .any(VoiceStatus::is_failure);
        let has_phrase = !self.text(field::PHRASE).is_empty();
        let status = match (own, job, result) {
            (own, ..) if !own.is_none() => own,
            (_, VoiceStatus::Success, it @ VoiceStatus::WaitValidating) if has_phrase => it,
            (_, job, result) if job.is_none() => result,
            (_, job, _) => job,
        };
        (status, some_fail)
    }

    /// Whether the body and the job's result name two things where there is one.
    fn differs(&self) -> bool {
        let Some(result) = self.result else {
            return false;
        };
        [field::VOICE_ID, field::PHRASE].into_iter().any(|field| {
            let (own, result) = (self.scanned.get(field), result.get(field));
            !own.is_blank() && !result.is_blank() && !own.is_same(result)
        })
    }

    /// Whether there are two meanings where one should be.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.all().any(Scanned::is_ambiguous) || self.differs()
    }

    /// Whether a text may have been another.
    pub(super) fn has_damaged(&self, text: &str) -> bool {
        self.all().any(|scanned| scanned.has_damaged(text))
    }

    /// The product whose content this plainly is, where it is not a voice's.
    pub(super) fn foreign(&self) -> Option<&'static str> {
        if self.all().any(speaks_of_a_voice) {
            return None;
        }
        let result = self.result.and_then(foreign);
        foreign(self.scanned).or(result)
    }

    fn all(&self) -> impl Iterator<Item = &'c Scanned<'c>> {
        std::iter::once(self.scanned).chain(self.result)
    }
}

fn text<'c>(scanned: &'c Scanned<'c>, field: u8) -> &'c str {
    scanned.get(field).as_str().unwrap_or_default()
}

/// Whether a key is there that only voices have.
fn speaks_of_a_voice(scanned: &Scanned<'_>) -> bool {
    scanned.has(field::VOICE_ID) || scanned.has(field::PHRASE)
}

/// The product whose keys are there.
fn foreign(scanned: &Scanned<'_>) -> Option<&'static str> {
    let stage = scanned.text(field::CALLBACK_TYPE).trim();
    // A job says `task_completed`, whatever it makes.
    let is_staged = !stage.is_empty() && !stage.eq_ignore_ascii_case("task_completed");
    let staged = is_staged.then_some("music or lyrics");
    scanned.foreign().or(staged)
}
