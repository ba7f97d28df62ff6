use super::{
    catalogue::QUESTIONS,
    events::word,
    handles::{Labels, counter},
};

const ANSWERS: [&str; 4] = ["confirmed", "pending", "unavailable", GIVEN_UP];

const GIVEN_UP: &str = "given_up";

const CALLBACK: &str = "callback";

const WATCH: &str = "watch";

/// Registers all of them, so that they are there before the first question is.
pub(super) fn register(product: (&'static str, &'static str)) {
    for asked_for in [CALLBACK, WATCH] {
        for answer in ANSWERS {
            let labels = [product, ("asked_for", asked_for), ("answer", answer)];
            counter(&QUESTIONS, &labels).increment(0);
        }
    }
}

/// A question to the provider, counted when it has ended: with an answer, or by being given up.
pub(crate) struct Question {
    product: &'static str,
    asked_for: &'static str,
    answer: &'static str,
}

impl Question {
    /// About the task of a callback that waits for the answer.
    pub(crate) fn for_callback(product: &'static str) -> Self {
        Self::new(product, CALLBACK)
    }

    /// About a task that is watched.
    pub(crate) fn for_watch(product: &'static str) -> Self {
        Self::new(product, WATCH)
    }

    fn new(product: &'static str, asked_for: &'static str) -> Self {
        Self {
            product,
            asked_for,
            answer: GIVEN_UP,
        }
    }

    pub(crate) fn answered(mut self, answer: &'static str) {
        self.answer = answer;
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let labels: Labels<'_> = &[
            ("product", word(self.product)),
            ("asked_for", self.asked_for),
            ("answer", self.answer),
        ];
        // Looked up anew: beside a question to the provider that is nothing.
        counter(&QUESTIONS, labels).increment(1);
    }
}
