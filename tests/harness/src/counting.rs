//! A store that counts what is asked of it.

use std::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use suno_callback::testkit::{Intercept, Intercepted, Operation};
use tower::BoxError;

pub type Counting<D> = Intercepted<D, Counts>;

/// `store`, and how often it is asked.
pub fn counting<D>(store: D) -> Counting<D> {
    Intercepted::new(store, Counts::default())
}

/// How often each operation was called.
#[derive(Debug, Default)]
pub struct Counts {
    peeks: AtomicUsize,
    claims: AtomicUsize,
    renewals: AtomicUsize,
    commits: AtomicUsize,
    releases: AtomicUsize,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    pub peeks: usize,
    pub claims: usize,
    pub renewals: usize,
    pub commits: usize,
    pub releases: usize,
}

impl Counts {
    pub fn now(&self) -> Operations {
        Operations {
            peeks: self.peeks.load(SeqCst),
            claims: self.claims.load(SeqCst),
            renewals: self.renewals.load(SeqCst),
            commits: self.commits.load(SeqCst),
            releases: self.releases.load(SeqCst),
        }
    }

    /// That nobody has asked the store anything.
    pub fn untouched(&self) -> bool {
        self.now() == Operations::default()
    }
}

impl Intercept for Counts {
    const ANSWERS_AT_ONCE: bool = true;

    fn intercept<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, BoxError>> + Send + 'static,
    ) -> impl Future<Output = Result<T, BoxError>> + Send {
        let counter = match operation {
            Operation::Peek => Some(&self.peeks),
            Operation::Claim => Some(&self.claims),
            Operation::Renew => Some(&self.renewals),
            Operation::Commit => Some(&self.commits),
            Operation::Release => Some(&self.releases),
            Operation::Check => None,
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, SeqCst);
        }
        work
    }
}
