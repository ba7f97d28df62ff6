//! What a body says about a voice, wherever it says it.
//!
//! Since September 2026 the Suno products are served as market jobs too, and which of the two
//! shapes a task calls back with is not settled. A job has `state` for `status`, `failCode` and
//! `failMsg` for `errorCode` and `errorMessage`, and its result is a JSON text in `resultJson`.

use super::{
    parse::{Claims, Field},
    status::VoiceStatus,
    value::Value,
};

/// The claims of a body, and those of the job result in it.
pub(super) struct Content<'c> {
    claims: &'c Claims<'c>,
    result: Option<&'c Claims<'c>>,
}

impl<'c> Content<'c> {
    pub(super) fn new(claims: &'c Claims<'c>, result: Option<&'c Claims<'c>>) -> Self {
        Self { claims, result }
    }

    /// The value of a field; where the body has none, that of the job's result.
    pub(super) fn get(&self, field: Field) -> &'c Value<'c> {
        let own = self.claims.get(field);
        match self.result {
            Some(result) if own.is_blank() => result.get(field),
            _ => own,
        }
    }

    pub(super) fn text(&self, field: Field) -> &'c str {
        self.get(field).as_str().unwrap_or_default()
    }

    /// The first of what the body, its job and the job's result say, and whether one of them says
    /// that the task has failed. A job that is done says nothing of a phrase that is ready: there
    /// its result counts.
    pub(super) fn status(&self) -> (VoiceStatus, bool) {
        let own = VoiceStatus::from(text(self.claims, Field::Status));
        let job = VoiceStatus::of_job(text(self.claims, Field::State));
        let result = self.result.map_or("", |result| text(result, Field::Status));
        let result = VoiceStatus::from(result);
        let some_fail = [&own, &job, &result]
            .into_iter()
            .any(VoiceStatus::is_failure);
        let has_phrase = !self.text(Field::Phrase).is_empty();
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
        let result = |field| {
            self.result
                .map_or(&Value::Absent, |result| result.get(field))
        };
        [Field::VoiceId, Field::Phrase].into_iter().any(|field| {
            let (own, result) = (self.claims.get(field), result(field));
            !own.is_blank() && !result.is_blank() && !own.is_same(result)
        })
    }

    /// Whether there are two meanings where one should be.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.all().any(Claims::content_key_repeated) || self.differs()
    }

    /// Whether a text may have been another.
    pub(super) fn has_damaged(&self, text: &str) -> bool {
        self.all().any(|claims| claims.has_damaged(text))
    }

    /// The product whose content this plainly is, where it is not a voice's.
    pub(super) fn foreign(&self) -> Option<&'static str> {
        if self.all().any(Claims::speaks_of_a_voice) {
            return None;
        }
        let result = self.result.and_then(Claims::foreign);
        self.claims.foreign().or(result)
    }

    fn all(&self) -> impl Iterator<Item = &'c Claims<'c>> {
        std::iter::once(self.claims).chain(self.result)
    }
}

fn text<'c>(claims: &'c Claims<'c>, field: Field) -> &'c str {
    claims.get(field).as_str().unwrap_or_default()
}
