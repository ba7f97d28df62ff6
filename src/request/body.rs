//! Reads a request's body: never more than the limit, and nothing on the sender's word.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::reply::Rejection;

pin_project! {
    /// Collects a body of at most `limit` bytes. Time is the caller's matter.
    pub(crate) struct ReadBody<B> {
        #[pin]
        body: B,
        read: Read,
        limit: usize,
    }
}

/// A body in one piece, which is the rule, is passed on without a copy.
enum Read {
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl<B: Body> ReadBody<B> {
    /// Frames that one poll takes before it lets others run, so that a body of endless empty
    /// frames cannot keep the thread.
    const FRAMES_PER_POLL: usize = 64;

    pub(crate) fn new(body: B, limit: usize) -> Self {
        Self {
            body,
            read: Read::Nothing,
            limit,
        }
    }

    pub(crate) fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bytes, Rejection>> {
        for _ in 0..Self::FRAMES_PER_POLL {
            let this = self.as_mut().project();
            // The declared length is good for a refusal and for nothing else.
            let declared = usize::try_from(this.body.size_hint().lower()).unwrap_or(usize::MAX);
            if this.read.len().saturating_add(declared) > *this.limit {
                return Poll::Ready(Err(Rejection::BodyTooLarge));
            }
            if this.body.is_end_stream() {
                return Poll::Ready(Ok(this.read.take()));
            }
            match ready!(this.body.poll_frame(cx)) {
                None => return Poll::Ready(Ok(this.read.take())),
                Some(Err(_)) => return Poll::Ready(Err(Rejection::BodyBroken)),
                Some(Ok(frame)) => {
                    let data = frame.into_data().ok();
                    data.map_or(Ok(()), |data| this.read.push(data, *this.limit))?;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Read {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, mut data: impl Buf, limit: usize) -> Result<(), Rejection> {
        let more = data.remaining();
        if self.len().saturating_add(more) > limit {
            return Err(Rejection::BodyTooLarge);
        }
        match self {
            _ if more == 0 => {}
            Self::Nothing => *self = Self::One(data.copy_to_bytes(more)),
            Self::One(first) => {
                let mut all = BytesMut::with_capacity(first.len() + more);
                all.extend_from_slice(first);
                all.extend_from_slice(&data.copy_to_bytes(more));
                *self = Self::Many(all);
            }
            Self::Many(all) => all.extend_from_slice(&data.copy_to_bytes(more)),
        }
        Ok(())
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}
