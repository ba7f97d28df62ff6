//! The connection that all operations share, and its replacement.
//!
//! A good one is handed out as a clone, and nobody holds a lock while an answer is under way. At
//! the first sign that it is not good it is taken away from all who come later. The next of them
//! has a new one opened, in a task, so that the attempt outlives whoever gives up waiting for it.

#[cfg(test)]
mod tests;

use std::{
    future::Future,
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::{RedisError, RedisResult};
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::{connect::RedisConnect, error::spoils};
use crate::util::lock;

/// How much later than the one before an attempt begins at the earliest, however many ask for it.
const APART: Duration = Duration::from_millis(50);

pub(super) struct Link<C: RedisConnect>(Arc<Shared<C>>);

struct Shared<C: RedisConnect> {
    client: C,
    /// How long one operation may take, and one attempt to connect. In milliseconds.
    operation: AtomicU64,
    state: Mutex<State<C::Connection>>,
}

struct State<T> {
    current: Current<T>,
    /// Counts attempts; the last one's number names what came of it.
    number: u64,
    /// When the next attempt may begin.
    next: Option<Instant>,
}

enum Current<T> {
    Closed,
    Opening(Attempt<T>),
    Open(T),
}

/// What an attempt comes to, once it has.
type Attempt<T> = watch::Receiver<Option<RedisResult<T>>>;

impl<C: RedisConnect> Link<C> {
    pub(super) fn new(client: C) -> Self {
        let state = State {
            current: Current::Closed,
            number: 0,
            next: None,
        };
        Self(Arc::new(Shared {
            client,
            operation: AtomicU64::new(1000),
            state: Mutex::new(state),
        }))
    }

    pub(super) fn set_operation_timeout(&self, timeout: Duration) {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.0.operation.store(millis.max(1), Relaxed);
    }

    /// Does something on the shared connection, and closes it for everybody else when that shows
    /// that it is no good: also when this future is dropped before it has ended, because whoever
    /// drops it has mostly waited in vain.
    ///
    /// Takes at most two operations' time: one until there is a connection, one on it.
    pub(super) async fn run<T, W: Future<Output = RedisResult<T>>>(
        &self,
        work: impl FnOnce(C::Connection) -> W,
    ) -> RedisResult<T> {
        let (connection, number) = self.connection().await?;
        let mut lent = Lent {
            shared: &self.0,
            number,
            good: false,
        };
        let answer = timeout(self.0.operation(), work(connection)).await;
        let answer = answer.unwrap_or_else(|_| Err(timed_out("the server did not answer in time")));
        lent.good = !answer.as_ref().is_err_and(spoils);
        answer
    }

    /// The connection and its number; waits where it has to be opened.
    async fn connection(&self) -> RedisResult<(C::Connection, u64)> {
        let (mut attempt, number) = {
            let mut state = self.0.state();
            match &state.current {
                Current::Open(connection) => return Ok((connection.clone(), state.number)),
                Current::Opening(attempt) if attempt.has_changed().is_ok() => {
                    (attempt.clone(), state.number)
                }
                // None, or one whose runtime has ended.
                _ => self.0.open(&mut state),
            }
        };
        let opened = attempt.wait_for(Option::is_some).await;
        match opened.ok().and_then(|opened| opened.clone()) {
            Some(opened) => Ok((opened?, number)),
            None => Err(io::Error::other("nobody was there to connect: no Tokio runtime").into()),
        }
    }
}

impl<C: RedisConnect> Shared<C> {
    fn operation(&self) -> Duration {
        Duration::from_millis(self.operation.load(Relaxed))
    }

    fn state(&self) -> MutexGuard<'_, State<C::Connection>> {
        lock(&self.state)
    }

    /// Begins an attempt that serves all who wait.
    fn open(self: &Arc<Self>, state: &mut State<C::Connection>) -> (Attempt<C::Connection>, u64) {
        let now = Instant::now();
        let start = state.next.map_or(now, |next| next.max(now));
        let (sender, attempt) = watch::channel(None);
        state.number = state.number.wrapping_add(1);
        state.next = Some(start + APART);
        state.current = Current::Opening(attempt.clone());
        let (shared, number) = (Arc::clone(self), state.number);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                if start > now {
                    sleep_until(start).await;
                }
                let within = shared.operation();
                let opened = timeout(within, shared.client.connect(within)).await;
                let opened = opened
                    .unwrap_or_else(|_| Err(timed_out("the server did not let us in in time")));
                shared.opened(number, &opened);
                let _ = sender.send(Some(opened));
            });
        }
        (attempt, number)
    }

    fn opened(&self, number: u64, opened: &RedisResult<C::Connection>) {
        let mut state = self.state();
        if state.number == number {
            state.current = match opened {
                Ok(connection) => Current::Open(connection.clone()),
                Err(_) => Current::Closed,
            };
        }
    }

    /// Nobody is given this connection any more. Who has it may try to the end.
    fn close(&self, number: u64) {
        let mut state = self.state();
        let is_current = state.number == number && matches!(state.current, Current::Open(_));
        let closed = is_current.then(|| std::mem::replace(&mut state.current, Current::Closed));
        drop(state);
        drop(closed);
    }
}

/// A connection on which something is under way.
struct Lent<'a, C: RedisConnect> {
    shared: &'a Shared<C>,
    number: u64,
    good: bool,
}

impl<C: RedisConnect> Drop for Lent<'_, C> {
    fn drop(&mut self) {
        if !self.good {
            self.shared.close(self.number);
        }
    }
}

fn timed_out(what: &'static str) -> RedisError {
    io::Error::new(io::ErrorKind::TimedOut, what).into()
}
