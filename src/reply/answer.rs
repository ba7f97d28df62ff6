use http::Response;

use super::{Disposition, Rejection, ResponseBody, received, refused};

/// The answer to an event that needs no handler, or cannot have one now.
#[derive(Clone, Copy, Debug)]
#[repr(align(8))]
pub(crate) enum Answer {
    Received(Disposition),
    Refused(Rejection),
}

impl Answer {
    pub(crate) fn reply<B>(self) -> Response<ResponseBody<B>> {
        match self {
            Self::Received(disposition) => received(disposition),
            Self::Refused(rejection) => refused(rejection),
        }
    }
}
