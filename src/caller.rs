//! Drives the inner service ready and calls it, one instance from the first poll to the last.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower::Service;

use crate::panic::{Panicked, catch};

type Answer<S, R> = Result<<S as Service<R>>::Response, <S as Service<R>>::Error>;

pin_project! {
    /// A future that never panics, neither when polled nor when its service is dropped.
    #[project = StageProject]
    pub(crate) enum Caller<S, R>
    where
        S: Service<R>,
    {
        Waiting { inner: S, request: Option<R> },
        Calling { #[pin] response: S::Future },
        Over,
    }
}

impl<S: Service<R>, R> Caller<S, R> {
    pub(crate) fn new(inner: S, request: R) -> Self {
        let request = Some(request);
        Self::Waiting { inner, request }
    }

    /// The request, for as long as the service was not called.
    pub(crate) fn request_mut(self: Pin<&mut Self>) -> Option<&mut R> {
        match self.project() {
            StageProject::Waiting { request, .. } => request.as_mut(),
            StageProject::Calling { .. } | StageProject::Over => None,
        }
    }

    /// The inner service's answer. Not to be polled again after it.
    pub(crate) fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answer<S, R>, Panicked>> {
        let answer = match catch("handler", || self.as_mut().step(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(answer)) => Ok(answer),
            Err(panicked) => Err(panicked),
        };
        Poll::Ready(self.end().and(answer))
    }

    /// Drops the service or its future.
    pub(crate) fn end(mut self: Pin<&mut Self>) -> Result<(), Panicked> {
        catch("drop of the handler", || self.set(Self::Over))
    }

    fn step(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<S, R>> {
        loop {
            let response = match self.as_mut().project() {
                StageProject::Calling { response } => return response.poll(cx),
                StageProject::Over => return Poll::Pending,
                StageProject::Waiting { inner, request } => {
                    ready!(inner.poll_ready(cx))?;
                    request.take().map(|request| inner.call(request))
                }
            };
            self.set(response.map_or(Self::Over, |response| Self::Calling { response }));
        }
    }
}
