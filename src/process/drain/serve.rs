//! The server and the layer end together.

use std::{
    future::{Future, IntoFuture, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, timeout};

use super::{Drain, Drained};

impl Drain {
    /// Runs `server` until `signal`, then ends it and everything of the layer within `bound`.
    ///
    /// When the signal comes, or the server ends by itself, the drain is [closed](Self::close): new
    /// callbacks get 503, and a server that was given [`closed`](Self::closed) stops accepting. What
    /// runs goes on, and so does the server, for three quarters of the bound, and for all but its
    /// last 5 seconds where it is longer than 20. Then handlers are aborted, their claims released,
    /// and commits that the store did not take yet are tried for the last time; who waits gets 503.
    /// What is still there at the bound is left: peers that neither finish a request nor go, and
    /// what the store does not take. It returns as soon as there is nothing to wait for.
    ///
    /// A bound below 2 s may be exceeded, by at most half a second, while claims are released.
    ///
    /// `server` is anything that ends in a `Result`, such as what axum's `with_graceful_shutdown`
    /// gives, or an accept loop of your own (`examples/hyper.rs`).
    ///
    /// # Errors
    ///
    /// The server's own error, when it failed; the drain has come to its end then too.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future drops the server and ends no handler. After a signal the layer stays
    /// closed, and [`abort`](Self::abort) ends the rest at once: for instance when a second signal
    /// comes.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with its timer enabled. A panic of the server is passed on.
    pub async fn serve<S, T, E>(
        &self,
        server: S,
        signal: impl IntoFuture,
        bound: Duration,
    ) -> Result<Drained, E>
    where
        S: IntoFuture<Output = Result<T, E>>,
    {
        let mut server = pin!(Serving::new(server.into_future()));
        let mut signal = pin!(signal.into_future());
        poll_fn(|cx| match server.as_mut().poll(cx) {
            Poll::Pending => signal.as_mut().poll(cx).map(drop),
            ended => ended,
        })
        .await;
        let drained = self.end_with(server.as_mut(), bound).await;
        match server.output() {
            Some(Err(error)) => Err(error),
            _ => Ok(drained),
        }
    }

    /// The server is polled all the time: it may have the handlers in itself.
    async fn end_with<F: Future>(
        &self,
        mut server: Pin<&mut Serving<F>>,
        bound: Duration,
    ) -> Drained {
        self.close();
        let began = Instant::now();
        let settle = (bound / 4).min(Self::SETTLE);
        // One behind the other: while the server runs, a request may still come out of its body.
        let ended = async {
            server.as_mut().await;
            self.idle().await;
        };
        let _ = timeout(bound.saturating_sub(settle), ended).await;
        let drained = {
            let mut aborted = pin!(self.abort(settle.max(Self::LEAST_SETTLE)));
            poll_fn(|cx| {
                let _ = server.as_mut().poll(cx);
                aborted.as_mut().poll(cx)
            })
            .await
        };
        // The answers of those who were aborted are still to be written.
        let _ = timeout(bound.saturating_sub(began.elapsed()), server).await;
        drained
    }
}

pin_project! {
    /// A server that may be polled after its end: what it said is kept.
    struct Serving<F: Future> {
        #[pin]
        server: F,
        output: Option<F::Output>,
    }
}

impl<F: Future> Serving<F> {
    fn new(server: F) -> Self {
        let output = None;
        Self { server, output }
    }

    fn output(self: Pin<&mut Self>) -> Option<F::Output> {
        self.project().output.take()
    }
}

impl<F: Future> Future for Serving<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.output.is_some() {
            return Poll::Ready(());
        }
        this.server
            .poll(cx)
            .map(|output| *this.output = Some(output))
    }
}
