//! One look at the monotonic clock for all that happens in one go.
//!
//! A look costs as much as a claim in memory. So whoever has just looked says so for the steps that
//! follow at once, and what asks [`now`] within them is told the same. Told a little early, a lease
//! ends early, and a record is remembered from when its event came.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

thread_local! {
    static LOOKED_AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The time now, or what the step that this is a part of says it is.
pub(crate) fn now() -> Instant {
    LOOKED_AT.get().unwrap_or_else(look)
}

/// The time now. All of the looks of a request that nobody has to wait for.
pub(crate) fn look() -> Instant {
    #[cfg(test)]
    tests::LOOKS.set(tests::LOOKS.get() + 1);
    Instant::now()
}

/// Runs one step that begins right after `now` was looked up; without it, the step looks itself.
pub(crate) fn at<T>(now: Option<Instant>, step: impl FnOnce() -> T) -> T {
    let _restored = Restored(LOOKED_AT.replace(now));
    step()
}

/// What was said before, also where a step panics.
struct Restored(Option<Instant>);

impl Drop for Restored {
    fn drop(&mut self) {
        LOOKED_AT.set(self.0);
    }
}

/// Polls `future` for the first time as a step at `now`, where that is known. Later it is later.
pub(crate) fn first_at<F: Future>(now: Option<Instant>, future: F) -> FirstAt<F> {
    FirstAt { now, future }
}

pin_project! {
    pub(crate) struct FirstAt<F> {
        now: Option<Instant>,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for FirstAt<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        at(this.now.take(), || this.future.poll(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::pin,
        task::{Context, Poll, Waker},
        time::{Duration, SystemTime, UNIX_EPOCH},
    };

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use tower::{Layer, Service, util::service_fn};

    use super::*;
    use crate::{MemoryStore, SIGNATURE_HEADER, SigningKey, SunoCallbackLayer, TIMESTAMP_HEADER};

    thread_local! {
        /// How often this thread has looked.
        pub(super) static LOOKS: Cell<usize> = const { Cell::new(0) };
    }

    fn request(key: &SigningKey) -> Request<Full<Bytes>> {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let body =
            r#"{"code":200,"msg":"","data":{"taskId":"t","voiceId":"v","status":"success"}}"#;
        Request::post("/")
            .header(TIMESTAMP_HEADER, seconds)
            .header(SIGNATURE_HEADER, key.sign("t", seconds))
            .body(Full::from(body))
            .unwrap()
    }

    /// The signature's age is a matter of the wall clock, which is looked at for itself. How long it
    /// took is asked for the log alone.
    #[test]
    fn a_request_that_waits_for_nothing_costs_one_look_at_the_clock() {
        let key = SigningKey::new("test-webhook-hmac-key").unwrap();
        let layer = SunoCallbackLayer::new(key.clone(), MemoryStore::default());
        let handler = |_| std::future::ready(Ok::<_, Infallible>(Response::new(())));
        let mut service = layer.layer(service_fn(handler));
        let mut looks = |request| {
            let before = LOOKS.get();
            let mut context = Context::from_waker(Waker::noop());
            let answered = pin!(service.call(request)).poll(&mut context);
            assert!(answered.is_ready());
            LOOKS.get() - before
        };
        assert_eq!(looks(request(&key)), 1, "accepted");
        assert_eq!(looks(request(&key)), 1, "duplicate");
        assert_eq!(looks(Request::post("/").body(Full::default()).unwrap()), 0);
        #[cfg(feature = "tracing")]
        {
            let listener = tracing_subscriber::fmt()
                .with_writer(std::io::sink)
                .finish();
            let heard = tracing::subscriber::with_default(listener, || looks(request(&key)));
            assert_eq!(heard, 2, "with a listener");
        }
    }

    #[test]
    fn a_step_is_told_one_time_and_what_follows_it_another() {
        let then = look() + Duration::from_secs(60);
        let mut polls = 0;
        let mut future = pin!(first_at(
            Some(then),
            std::future::poll_fn(|_| {
                polls += 1;
                if polls == 2 {
                    Poll::Ready(now())
                } else {
                    assert_eq!(now(), then);
                    Poll::Pending
                }
            })
        ));
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert!(matches!(future.as_mut().poll(&mut context), Poll::Ready(at) if at < then));
        assert!(std::panic::catch_unwind(|| at(Some(then), || panic!("a hook"))).is_err());
        assert!(now() < then);
    }
}
