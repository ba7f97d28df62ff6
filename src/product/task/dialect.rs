use super::{
    Content, Found, TaskEvent, Words,
    word::{JOB, RECORD},
};
use crate::{event::Scanned, product::Product};

/// What differs from product to product, beside the keys: the words, and where the result stands.
///
/// Not nameable outside the crate: a product of one's own has an event of its own.
pub(in crate::product) trait Dialect: Product<Event = TaskEvent<Self>> {
    /// Whether a callback says by a word that this is the end. Otherwise its code and its result do.
    const IS_MARKED: bool = !Self::MARKERS.is_empty();

    /// Whether a success needs a result to be one.
    const NEEDS_RESULT: bool = true;

    /// Whether two bodies of one stage are two events.
    const IS_UNTYPED: bool = false;

    /// The words of `callbackType`.
    const MARKERS: &'static [Words] = &[];

    /// The words of `state`.
    const STATES: &'static [Words] = &[JOB];

    /// The words of `status`.
    const STATUSES: &'static [Words] = &[RECORD];

    /// The words and numbers of `successFlag`.
    const FLAGS: &'static [Words] = &[RECORD];

    /// Whether there is a result, and which.
    fn found(content: Content<'_>) -> Found;

    /// The links or ids of a result.
    fn results(content: Content<'_>) -> Vec<String>;

    /// The product whose content this plainly is although a key of ours is there.
    fn foreign(scanned: &Scanned<'_>) -> Option<&'static str> {
        let _ = scanned;
        None
    }
}
