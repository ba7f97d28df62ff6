use std::{fmt, sync::Arc};

use super::Trust;
use crate::{
    event::TaskId,
    product::{DefaultEvent, Event},
};

/// A success that names another result than the one that its task already succeeded with, or a
/// record, found by a poll, that contradicts what was handed over.
///
/// The body is not signed, so one of the two may be forged. The first stands; this one is answered
/// with 200 and reported, because nobody but the application can decide.
///
/// # Example
///
/// ```
/// use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer, Trust};
///
/// let key = SigningKey::new("the key of the settings page")?;
/// let layer = SunoCallbackLayer::new(key, MemoryStore::default()).on_conflict(|conflict| {
///     let (task, second) = (conflict.task_id(), conflict.voice_id());
///     match conflict.first_trust {
///         Trust::Confirmed => println!("{task} has its voice, whatever this says: {second:?}"),
///         _ => eprintln!("ask about {task}: it has another voice, or it has {second:?}"),
///     }
/// });
/// # let _ = layer;
/// # Ok::<(), suno_callback::InvalidKey>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Conflict<E = DefaultEvent> {
    /// What arrived and was not handed to the handler. Where a [`Confirm`](crate::Confirm) is set
    /// and answers, it is what the provider's record says, and then the event that was handled is
    /// the wrong one; the record may even deny that the task succeeded at all.
    pub event: E,
    /// Whether it came under the very header pair of the success that stands: a strong sign of a
    /// forgery. `None` where nothing is signed.
    pub same_header_pair: Option<bool>,
    /// How far the success that stands was trusted when it was handled.
    pub first_trust: Trust,
}

impl<E: Event> Conflict<E> {
    /// The task.
    pub fn task_id(&self) -> &TaskId {
        self.event.task_id()
    }
}

/// The application's own report of a conflict.
pub(crate) struct ConflictHook<E>(pub(crate) Arc<Hook<E>>);

type Hook<E> = dyn Fn(&Conflict<E>) + Send + Sync;

impl<E> Clone for ConflictHook<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E> fmt::Debug for ConflictHook<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConflictHook")
    }
}
