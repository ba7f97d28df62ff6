use std::fmt;

use tower::BoxError;

/// A law that a store or a product breaks, and how.
pub struct LawBroken {
    who: &'static str,
    law: &'static str,
    how: String,
    source: Option<BoxError>,
}

impl LawBroken {
    pub(super) fn by_store(law: &'static str, how: impl Into<String>) -> Self {
        Self::by("store", law, how.into())
    }

    pub(super) fn by_product(law: &'static str, how: impl Into<String>) -> Self {
        Self::by("product", law, how.into())
    }

    fn by(who: &'static str, law: &'static str, how: String) -> Self {
        Self {
            who,
            law,
            how,
            source: None,
        }
    }

    pub(super) fn by_error(law: &'static str, operation: &str, source: BoxError) -> Self {
        Self {
            source: Some(source),
            ..Self::by_store(law, format!("{operation} failed"))
        }
    }

    /// The name of the function in [`laws`](crate::testkit::laws) or in
    /// [`products`](crate::testkit::products).
    pub fn law(&self) -> &'static str {
        self.law
    }
}

impl fmt::Display for LawBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, law, how, .. } = self;
        write!(f, "the {who} breaks the law `{law}`: {how}")?;
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
