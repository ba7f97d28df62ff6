//! The primitives of a scheduler, in the place of the crate's.

pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError, atomic};

use tokio::sync::futures::Notified;

use atomic::{AtomicUsize, Ordering::SeqCst};

/// Tokio's own, with a place before each operation at which another thread may come in.
pub(crate) struct Notify {
    notify: tokio::sync::Notify,
    place: AtomicUsize,
}

impl Notify {
    pub(crate) fn new() -> Self {
        let (notify, place) = (tokio::sync::Notify::new(), AtomicUsize::new(0));
        Self { notify, place }
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        self.place.load(SeqCst);
        self.notify.notified()
    }

    pub(crate) fn notify_waiters(&self) {
        self.place.load(SeqCst);
        self.notify.notify_waiters();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
