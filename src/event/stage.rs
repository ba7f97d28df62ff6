/// How far an event says that its task is, in the words of the layer: what chooses the event's slot,
/// how long it is remembered, and whether anything better may come.
///
/// ```text
///              Progress "text" -> Progress "first" -> Success      the rest of the task is late
///                                        \----------> Failure      a success may still follow
/// ```
///
/// Stages come in any order, several times, or never: none waits for the one before it. Once a
/// success is done, everything else of its task is late.
///
/// | stage | slots of a task | remembered for | where it cannot be confirmed in time |
/// |---|---|---|---|
/// | [`Success`](Self::Success) | one | [`Times::retain_outcome`](crate::Times::retain_outcome) | 503, and asked on about |
/// | [`Failure`](Self::Failure) | one | the same | the same |
/// | [`Progress`](Self::Progress) | one a name | [`Times::retain_progress`](crate::Times::retain_progress) | the same |
/// | [`Inconsistent`](Self::Inconsistent) | one a reason and content | the same | the same |
/// | [`Unknown`](Self::Unknown) | one a content | the same | handed over, because nothing in it can be acted on |
///
/// Whether an event is asked about at all says the product's
/// [`confirms`](crate::product::Product::confirms). One that [is
/// final](crate::product::Event::is_final) is remembered as long as an outcome, whatever its stage.
/// A [variant](crate::product::Event::variant) tells events of one stage apart, each with a slot.
///
/// # Example
///
/// ```
/// use suno_callback::product::{Music, Product, Stage};
///
/// let first = r#"{"code":200,"data":{"task_id":"t","callbackType":"first","data":[
///     {"id":"1","audio_url":"https://files.example/1.mp3"}]}}"#;
/// let event = Music.parse(first)?;
/// assert_eq!(event.stage(), Stage::Progress { name: "first", step: 2 });
/// assert_eq!(event.stage().as_str(), "progress");
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// There is a result. A second success with another [result](crate::product::Event::result) is a
    /// conflict, and one with the same a duplicate.
    Success,
    /// The task has failed. One slot a task; a success may still follow, because a failure may be
    /// forged or premature.
    Failure,
    /// Something on the way. One slot for each name, and for each
    /// [variant](crate::product::Event::variant) of it.
    Progress {
        /// What tells it from other progress.
        name: &'static str,
        /// How far that is: 0 where it says nothing that a handler could act on, and more the
        /// further it is. A record answers a question about progress when it is as far.
        step: u8,
    },
    /// Something claims success and something else denies it, or a key is repeated. One slot for
    /// each content.
    Inconsistent {
        /// A short constant name of the reason.
        why: &'static str,
    },
    /// Nothing that is known to mean something. One slot for each content, so that nothing is
    /// swallowed.
    Unknown,
}

impl Stage {
    /// `success`, `failure`, `progress`, `inconsistent` or `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Progress { .. } => "progress",
            Self::Inconsistent { .. } => "inconsistent",
            Self::Unknown => "unknown",
        }
    }
}
