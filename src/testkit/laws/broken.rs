use std::fmt;

use tower::BoxError;

/// A law that a store breaks, and how.
pub struct LawBroken {
    law: &'static str,
    how: String,
    source: Option<BoxError>,
}

impl LawBroken {
    pub(super) fn new(law: &'static str, how: impl Into<String>) -> Self {
        let (how, source) = (how.into(), None);
        Self { law, how, source }
    }

    pub(super) fn by_error(law: &'static str, operation: &str, source: BoxError) -> Self {
        Self {
            law,
            how: format!("{operation} failed"),
            source: Some(source),
        }
    }

    /// The name of the function in [`laws`](crate::testkit::laws).
    pub fn law(&self) -> &'static str {
        self.law
    }
}

impl fmt::Display for LawBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store breaks the law `{}`: {}", self.law, self.how)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

/// The same as `Display`, because that is what `unwrap` and a test that returns an error print.
impl fmt::Debug for LawBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for LawBroken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
