//! The words for how far a task is, in callbacks, records and jobs.

use crate::event::Value;

/// What a word says about the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::product) enum Word {
    /// There is none.
    None,
    /// Nobody listed it.
    Odd,
    Progress(&'static str, u8),
    Success,
    Failure,
    /// The provider could not deliver its callback, which says nothing about the work.
    Undelivered,
}

/// Words and what they mean. Neither case nor blanks around a word matter; a number is a word too.
pub(in crate::product) type Words = &'static [(&'static str, Word)];

/// The words of records, for every product: of a word that only another product lists the meaning is
/// plain too.
pub(in crate::product) const RECORD: Words = &[
    ("PENDING", Word::Progress("pending", 0)),
    ("GENERATING", Word::Progress("generating", 0)),
    ("SUCCESS", Word::Success),
    ("CREATE_TASK_FAILED", Word::Failure),
    ("GENERATE_FAILED", Word::Failure),
    ("GENERATE_AUDIO_FAILED", Word::Failure),
    ("GENERATE_LYRICS_FAILED", Word::Failure),
    ("GENERATE_WAV_FAILED", Word::Failure),
    ("GENERATE_MP4_FAILED", Word::Failure),
    ("GENERATE_COVER_FAILED", Word::Failure),
    ("SENSITIVE_WORD_ERROR", Word::Failure),
    ("CALLBACK_EXCEPTION", Word::Undelivered),
];

/// The `state` of a job.
pub(in crate::product) const JOB: Words = &[
    ("waiting", Word::Progress("waiting", 0)),
    ("queuing", Word::Progress("queuing", 0)),
    ("generating", Word::Progress("generating", 0)),
    ("success", Word::Success),
    ("fail", Word::Failure),
    ("failed", Word::Failure),
];

impl Word {
    pub(super) fn of(value: &Value<'_>, tables: &[Words]) -> Self {
        match value {
            Value::Absent => Self::None,
            Value::Text(word) => Self::listed(word.trim(), tables),
            Value::Whole(number) => Self::listed(&number.to_string(), tables),
            Value::Raw(_) | Value::Odd => Self::Odd,
        }
    }

    fn listed(word: &str, tables: &[Words]) -> Self {
        if word.is_empty() {
            return Self::None;
        }
        let mut listed = tables.iter().copied().flatten();
        let found = listed.find(|(it, _)| it.eq_ignore_ascii_case(word));
        found.map_or(Self::Odd, |(_, meaning)| *meaning)
    }
}
