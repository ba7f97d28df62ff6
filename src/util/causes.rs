use std::{error::Error, fmt};

/// An error with what caused it, in one line: a store's own text may say no more than that its
/// database failed.
pub(crate) struct WithCauses<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// What ends a `main` or an `unwrap` is printed with `Debug`, and a text that names the fix is of no
/// use where nobody sees it.
macro_rules! debug_is_the_text {
    ($error:ty) => {
        impl std::fmt::Debug for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", $crate::util::WithCauses(self))
            }
        }
    };
}

pub(crate) use debug_is_the_text;

#[cfg(test)]
mod tests {
    use super::*;

    struct Outer(fmt::Error);

    debug_is_the_text!(Outer);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let text = format!("{:?}", Outer(fmt::Error));
        assert_eq!(text, format!("outer: {}", fmt::Error));
    }
}
