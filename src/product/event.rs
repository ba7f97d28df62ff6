use std::fmt;

use super::{Product, Stage};
use crate::event::TaskId;

/// What the layer asks of an event. The handler gets the event itself, with accessors of its own.
///
/// What it says never changes: the layer asks more than once, and the answers choose the slot, how
/// long it is remembered, and who is told. Every text of it is hostile until the provider was asked.
///
/// Cheap to clone. `Debug` shows what provider and attacker wrote escaped and cut, and no links.
///
/// # Example
///
/// What is the same for all products can be written once:
///
/// ```
/// use suno_callback::product::{Event, Product, Video, Voice};
///
/// fn line(event: &impl Event) -> String {
///     format!("{} {}: {}", event.product().name(), event.task_id(), event.stage().as_str())
/// }
///
/// let voice = Voice::generate().parse(r#"{"code":200,"data":{"taskId":"t","status":"wait_processing"}}"#)?;
/// assert_eq!(line(&voice), "voice t: progress");
/// let video = Video.parse(r#"{"code":200,"data":{"task_id":"t","video_url":"https://files.example/v.mp4"}}"#)?;
/// assert_eq!(line(&video), "video t: success");
/// assert_eq!(video.results(), ["https://files.example/v.mp4"]);
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
pub trait Event: Clone + fmt::Debug + Send + Sync + Sized + 'static {
    /// The product that reads such events.
    type Product: Product<Event = Self>;

    /// The product that read this one.
    fn product(&self) -> Self::Product;

    /// The task that the event is about: the one whose signature was verified.
    fn task_id(&self) -> &TaskId;

    /// The JSON that the event was read from: as it came, or with replacement characters for what
    /// was no text in it.
    fn body(&self) -> &str;

    /// How far the task is.
    fn stage(&self) -> Stage;

    /// The provider's own word for that, such as `complete` or `wait_processing`; empty where it
    /// gave none. Hostile until confirmed.
    fn name(&self) -> &str;

    /// What tells events of one stage apart, beside its name: there is one slot for each. By default
    /// the whole body where the content is inconsistent or unknown, and nothing otherwise.
    fn variant(&self) -> &str {
        match self.stage() {
            Stage::Inconsistent { .. } | Stage::Unknown => self.body(),
            Stage::Success | Stage::Failure | Stage::Progress { .. } => "",
        }
    }

    /// What two successes of one task must agree on, or they are a conflict; `None` where any two
    /// agree.
    fn result(&self) -> Option<&str> {
        None
    }

    /// What a success brought, or a step on the way: links or ids. Empty for everything else.
    fn results(&self) -> Vec<String> {
        self.result().map(str::to_owned).into_iter().collect()
    }

    /// Whether nothing better is to come. By default: a success or a failure.
    fn is_final(&self) -> bool {
        matches!(self.stage(), Stage::Success | Stage::Failure)
    }

    /// The product that unknown content plainly is of, where it is another's: for the log.
    fn foreign(&self) -> Option<&'static str> {
        None
    }
}
