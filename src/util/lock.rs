//! Locks that nobody can leave broken.

use crate::util::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. Nothing that runs under these locks can panic, so a poisoned one is still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    #[cfg(test)]
    tests::LOCKED.set(tests::LOCKED.get() + 1);
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        convert::Infallible,
        pin::pin,
        task::{Context, Waker},
        time::{SystemTime, UNIX_EPOCH},
    };

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use tower::{Layer, Service, util::service_fn};

    use crate::{MemoryStore, SIGNATURE_HEADER, SigningKey, SunoCallbackLayer, TIMESTAMP_HEADER};

    thread_local! {
        /// How often this thread has locked.
        pub(super) static LOCKED: Cell<usize> = const { Cell::new(0) };
    }

    fn request(key: &SigningKey, task: &str, said: &str) -> Request<Full<Bytes>> {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        Request::post("/")
            .header(TIMESTAMP_HEADER, seconds)
            .header(SIGNATURE_HEADER, key.sign(task, seconds))
            .body(Full::from(said.to_owned()))
            .unwrap()
    }

    /// Twins come and go, the memory store claims and commits, and a handler is cloned.
    #[test]
    fn a_request_that_waits_for_nothing_takes_a_lock_for_each_thing_that_it_does() {
        let key = SigningKey::new("test-webhook-hmac-key").unwrap();
        let layer = SunoCallbackLayer::new(key.clone(), MemoryStore::default());
        let handler = |_| std::future::ready(Ok::<_, Infallible>(Response::new(())));
        let mut service = layer.layer(service_fn(handler));
        let mut locks = |request| {
            let before = LOCKED.get();
            let mut context = Context::from_waker(Waker::noop());
            assert!(pin!(service.call(request)).poll(&mut context).is_ready());
            LOCKED.get() - before
        };
        let said = r#"{"code":200,"data":{"taskId":"t","voiceId":"v","status":"success"}}"#;
        assert_eq!(locks(request(&key, "t", said)), 5, "accepted");
        assert_eq!(locks(request(&key, "t", said)), 3, "duplicate");
        assert_eq!(locks(request(&key, "another", said)), 0, "wrong signature");
        assert_eq!(locks(Request::post("/").body(Full::default()).unwrap()), 0);
    }
}
