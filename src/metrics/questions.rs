use super::{
    catalogue::QUESTIONS,
    handles::{Labels, counter},
};

/// A question to the provider, counted when it has ended: with an answer, or by being given up.
pub(crate) struct Question {
    product: &'static str,
    asked_for: &'static str,
    answer: &'static str,
}

impl Question {
    pub(crate) fn new(product: &'static str, asked_for: &'static str) -> Self {
        Self {
            product,
            asked_for,
            answer: "given_up",
        }
    }

    pub(crate) fn answered(mut self, answer: &'static str) {
        self.answer = answer;
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let labels: Labels<'_> = &[
            ("product", super::events::word(self.product)),
            ("asked_for", self.asked_for),
            ("answer", self.answer),
        ];
        // Looked up anew: beside a question to the provider that is nothing.
        counter(&QUESTIONS, labels).increment(1);
    }
}
