/// Which callback a route receives. The payloads do not say, so the route must.
///
/// # Example
///
/// ```
/// use suno_callback::{CallbackKind, VoiceEvent};
///
/// let body = r#"{"code":200,"data":{"taskId":"t","status":"wait_validating","validateInfo":"la"}}"#;
/// assert!(VoiceEvent::parse(CallbackKind::Validate, body)?.is_final());
/// assert!(!VoiceEvent::parse(CallbackKind::Generate, body)?.is_final());
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallbackKind {
    /// Of `POST /api/v1/voice/generate`: ends with a voice or a failure.
    #[default]
    Generate,
    /// Of `POST /api/v1/voice/validate` and `/regenerate`: ends with a phrase or a failure.
    Validate,
}

impl CallbackKind {
    /// `generate` or `validate`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Validate => "validate",
        }
    }
}
