use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

pin_project! {
    /// The body of the layer's responses: the handler's own, or a small constant one.
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProject]
    enum Kind<B> {
        Handler { #[pin] body: B },
        Layer { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn of_handler(body: B) -> Self {
        let kind = Kind::Handler { body };
        Self { kind }
    }

    pub(super) fn constant(json: &'static str) -> Self {
        let body = Full::new(Bytes::from_static(json.as_bytes()));
        let kind = Kind::Layer { body };
        Self { kind }
    }
}

impl ResponseBody<Full<Bytes>> {
    pub(crate) fn into_full(self) -> Full<Bytes> {
        match self.kind {
            Kind::Handler { body } | Kind::Layer { body } => body,
        }
    }
}

/// No bytes: what a layer in front answers with when it gives up on its own.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::constant("")
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProject::Handler { body } => body.poll_frame(cx),
            KindProject::Layer { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Handler { body } => body.is_end_stream(),
            Kind::Layer { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Handler { body } => body.size_hint(),
            Kind::Layer { body } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
