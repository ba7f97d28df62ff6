//! Two witnesses, code and word, and the result: what they say together.

use super::{Found, Word};
use crate::{event::Stage, product::Source};

/// What the decision looks at.
pub(super) struct Evidence<'e> {
    pub(super) source: Source,
    /// The code of a callback, where it is a whole number. In a record it is the API's own.
    pub(super) code: Option<i64>,
    /// `errorCode`.
    pub(super) error_code: Option<i64>,
    pub(super) words: [Word; 4],
    pub(super) found: &'e Found,
    pub(super) key_repeated: bool,
    pub(super) is_foreign: bool,
    /// Whether the product's own key for a result is there.
    pub(super) has_result_key: bool,
    pub(super) is_marked: bool,
    pub(super) needs_result: bool,
}

impl Evidence<'_> {
    pub(super) fn stage(&self) -> Stage {
        if self.key_repeated {
            return inconsistent("repeated_key");
        }
        if self.is_foreign {
            return Stage::Unknown;
        }
        if *self.found == Found::Ambiguous {
            return inconsistent("repeated_key");
        }
        match self.says(Word::Failure) || self.code_says_failure() {
            true => self.failure(),
            false => self.without_failure(),
        }
    }

    /// Either witness is enough, unless a result denies it. A record in which status and error code
    /// agree is believed beside one: a song may fail after its first track.
    fn failure(&self) -> Stage {
        let is_settled = self.source == Source::Record && self.names_an_error();
        match self.found.is_usable() && !is_settled {
            false => Stage::Failure,
            true if self.code_says_failure() => inconsistent("code_denies"),
            true => inconsistent("status_denies"),
        }
    }

    fn without_failure(&self) -> Stage {
        let progress = self.words.iter().find_map(|word| match word {
            Word::Progress(name, step) => Some((*name, *step)),
            _ => None,
        });
        match progress {
            Some(_) if self.says(Word::Success) => inconsistent("status_denies"),
            _ if self.says(Word::Success) => self.success(),
            _ if self.says(Word::Undelivered) => self.undelivered(),
            Some((name, step)) => self.progress(name, step),
            None if self.says(Word::Odd) || self.is_marked => Stage::Unknown,
            None => self.without_words(),
        }
    }

    fn success(&self) -> Stage {
        match self.found.is_usable() || !self.needs_result {
            false => inconsistent("no_result"),
            true if self.lacks_its_code() => inconsistent("code_denies"),
            true => Stage::Success,
        }
    }

    fn undelivered(&self) -> Stage {
        match self.found.is_usable() {
            true => self.success(),
            false => inconsistent("callback_exception"),
        }
    }

    /// The later steps bring a part of the result. Without it such a step must not take the slot of
    /// the one that has it.
    fn progress(&self, name: &'static str, step: u8) -> Stage {
        match step > 1 && !self.found.is_usable() {
            true => inconsistent("no_result"),
            false => Stage::Progress { name, step },
        }
    }

    /// The product's callback has no word, so its key says whose it is. A record always has one.
    fn without_words(&self) -> Stage {
        let is_ours = self.found.is_usable() || self.has_result_key;
        match self.source == Source::Callback && is_ours {
            true => self.success(),
            false => Stage::Unknown,
        }
    }

    fn says(&self, word: Word) -> bool {
        self.words.contains(&word)
    }

    fn code_says_failure(&self) -> bool {
        self.source == Source::Callback && self.code.is_some_and(|code| code != 200)
    }

    fn lacks_its_code(&self) -> bool {
        self.source == Source::Callback && self.code.is_none()
    }

    /// On success it is null, absent, 0 or 200.
    fn names_an_error(&self) -> bool {
        self.error_code.is_some_and(|code| !matches!(code, 0 | 200))
    }
}

fn inconsistent(why: &'static str) -> Stage {
    Stage::Inconsistent { why }
}
