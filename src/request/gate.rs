//! What the head alone decides: no allocation, no await, and the body stays untouched.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Request, header};

use crate::{
    config::{self, Clock},
    reply::Rejection,
    signature::{KeyRing, SIGNATURE_HEADER, Signature, TIMESTAMP_HEADER, Timestamp, UrlSecret},
};

/// Checks the head of a request, in the order in which the HTTP contract lists its rows.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) tolerance: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

/// How a sender shows that it is the provider.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    Signed(KeyRing),
    Unsigned(UrlSecret),
}

/// A good head, and what it leaves to be checked against the body.
pub(crate) enum SignedHead {
    Signed {
        timestamp: Timestamp,
        signature: Signature,
    },
    Unsigned,
}

impl Gate {
    pub(crate) fn check<B>(&self, request: &Request<B>) -> Result<SignedHead, Rejection> {
        if request.method() != Method::POST {
            return Err(Rejection::Method);
        }
        let signed = SignatureHeaders::of(request.headers())?;
        match &*self.credentials {
            Credentials::Signed(_) => self.check_signed(&signed),
            Credentials::Unsigned(secret) if secret.is_in(request.uri().query().unwrap_or("")) => {
                Ok(SignedHead::Unsigned)
            }
            Credentials::Unsigned(_) => Err(Rejection::UrlSecretWrong),
        }
    }

    fn check_signed(&self, signed: &SignatureHeaders<'_>) -> Result<SignedHead, Rejection> {
        let (timestamp, signature) = (signed.timestamp.one()?, signed.signature.one()?);
        let timestamp =
            Timestamp::parse(timestamp.as_bytes()).ok_or(Rejection::TimestampMalformed)?;
        let signature =
            Signature::parse(signature.as_bytes()).ok_or(Rejection::SignatureMalformed)?;
        self.check_freshness(timestamp)?;
        Ok(SignedHead::Signed {
            timestamp,
            signature,
        })
    }

    fn check_freshness(&self, timestamp: Timestamp) -> Result<(), Rejection> {
        let now = config::unix_time(&*self.clock).ok_or(Rejection::ClockUnusable)?;
        let (now, then) = (now.as_secs(), timestamp.seconds());
        let tolerance = self.tolerance.as_secs();
        match now.abs_diff(then).saturating_sub(tolerance) {
            0 => Ok(()),
            late_by if now > then => Err(Rejection::Stale { late_by }),
            early_by => Err(Rejection::FromTheFuture { early_by }),
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("credentials", &self.credentials)
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

/// The headers that matter, found in one pass.
#[derive(Default)]
struct SignatureHeaders<'h> {
    timestamp: Found<'h>,
    signature: Found<'h>,
}

/// How often a header is there: `HeaderMap::get` would silently take the first of several.
#[derive(Clone, Copy, Default)]
enum Found<'h> {
    #[default]
    Never,
    Once(&'h HeaderValue),
    Repeated,
}

impl<'h> SignatureHeaders<'h> {
    /// Looks at what the body is said to be on the way: first its type, then its encoding.
    fn of(headers: &'h HeaderMap) -> Result<Self, Rejection> {
        let mut signed = Self::default();
        let (mut is_json, mut is_plain) = (true, true);
        for (name, value) in headers {
            if *name == header::CONTENT_TYPE {
                is_json &= names_json(value.as_bytes());
            } else if *name == header::CONTENT_ENCODING {
                is_plain &= value.as_bytes().eq_ignore_ascii_case(b"identity");
            } else if *name == TIMESTAMP_HEADER {
                signed.timestamp.find(value);
            } else if *name == SIGNATURE_HEADER {
                signed.signature.find(value);
            }
        }
        match (is_json, is_plain) {
            (false, _) => Err(Rejection::ContentType),
            (true, false) => Err(Rejection::ContentEncoding),
            (true, true) => Ok(signed),
        }
    }
}

impl<'h> Found<'h> {
    fn find(&mut self, value: &'h HeaderValue) {
        *self = match self {
            Self::Never => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        };
    }

    fn one(self) -> Result<&'h HeaderValue, Rejection> {
        match self {
            Self::Never => Err(Rejection::HeaderMissing),
            Self::Once(value) => Ok(value),
            Self::Repeated => Err(Rejection::HeaderRepeated),
        }
    }
}

/// `application/json` or any `+json`, in any case and with any parameters.
fn names_json(content_type: &[u8]) -> bool {
    const AS_MOST_WRITE_IT: &[u8] = b"application/json";
    if content_type == AS_MOST_WRITE_IT {
        return true;
    }
    let essence = content_type.split(|byte| *byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    let suffix = essence.last_chunk::<5>();
    essence.eq_ignore_ascii_case(AS_MOST_WRITE_IT)
        || is_media_type(essence) && suffix.is_some_and(|it| it.eq_ignore_ascii_case(b"+json"))
}

/// `type/subtype`, in the characters of RFC 6838; a list of several types, say, is none.
fn is_media_type(essence: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(byte);
    let is_name = |part: &[u8]| !part.is_empty() && part.iter().all(plain);
    let mut parts = essence.split(|byte| *byte == b'/');
    parts.next().is_some_and(is_name) && parts.next().is_some_and(is_name) && parts.next().is_none()
}
