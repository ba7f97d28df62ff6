//! The connection that all operations share, and its replacement.
//!
//! A good one is handed out as a clone, and nobody holds a lock while an answer is under way. At
//! the first sign that it is not good it is taken away from all who come later. The next of them
//! has a new one opened, in a task, so that the attempt outlives whoever gives up waiting for it.

use std::{
    future::Future,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use redis::{Cmd, Pipeline, RedisFuture, Value, aio::ConnectionLike};
    use tokio::{
        sync::oneshot,
        time::{advance, sleep},
    };

    use super::*;

    /// The how-manieth that was opened. Nothing is sent on it.
    #[derive(Clone)]
    struct Number(usize);

    impl ConnectionLike for Number {
        fn req_packed_command<'a>(&'a mut self, _: &'a Cmd) -> RedisFuture<'a, Value> {
            Box::pin(ready(Ok(Value::Nil)))
        }

        fn req_packed_commands<'a>(
            &'a mut self,
            _: &'a Pipeline,
            _: usize,
            _: usize,
        ) -> RedisFuture<'a, Vec<Value>> {
            Box::pin(ready(Ok(Vec::new())))
        }

        fn get_db(&self) -> i64 {
            0
        }
    }

    /// A link that does `how` to connect, and how often it has.
    fn link<W: Future<Output = RedisResult<()>> + Send + 'static>(
        how: impl Fn(usize) -> W + Send + Sync + 'static,
    ) -> (
        Link<impl RedisConnect<Connection = Number>>,
        Arc<AtomicUsize>,
    ) {
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        let link = Link::new(move || {
            let number = count.fetch_add(1, SeqCst) + 1;
            let connected = how(number);
            async move { connected.await.map(|()| Number(number)) }
        });
        (link, opened)
    }

    async fn number<C: RedisConnect<Connection = Number>>(link: &Link<C>) -> RedisResult<usize> {
        link.run(|it| ready(Ok(it.0))).await
    }

    fn broken() -> RedisError {
        io::Error::from(io::ErrorKind::BrokenPipe).into()
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_outlives_whoever_gives_up_waiting_for_it() {
        let (link, opened) = link(async |_| {
            sleep(ms(900)).await;
            Ok(())
        });
        timeout(ms(500), number(&link)).await.expect_err("too soon");
        let began = Instant::now();
        assert_eq!(number(&link).await.unwrap(), 1);
        assert_eq!(began.elapsed(), ms(400));
        assert_eq!(opened.load(SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_hangs_ends_with_the_time_of_one_operation() {
        let (link, opened) = link(async |number| match number {
            1 => pending().await,
            _ => Ok(()),
        });
        link.set_operation_timeout(ms(700));
        let began = Instant::now();
        assert!(number(&link).await.unwrap_err().is_timeout());
        assert_eq!(began.elapsed(), ms(700));
        assert_eq!(number(&link).await.unwrap(), 2);
        assert_eq!(began.elapsed(), ms(700), "and the next begins at once");
        assert_eq!(opened.load(SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_that_fail_at_once_begin_apart() {
        let (link, opened) = link(async |_| Err(broken()));
        let end = Instant::now() + ms(975);
        while Instant::now() < end {
            assert!(number(&link).await.is_err());
        }
        assert_eq!(opened.load(SeqCst), 21, "at 0, 50, .. 1000 ms");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_to_one_command_keeps_the_connection_and_a_bad_sign_does_not() {
        let (link, _) = link(async |_| Ok(()));
        let refusal = redis::make_extension_error("UNREADABLE".into(), None);
        assert!(link.run(|_| ready(Err::<(), _>(refusal))).await.is_err());
        assert_eq!(number(&link).await.unwrap(), 1);
        assert!(link.run(|_| ready(Err::<(), _>(broken()))).await.is_err());
        assert_eq!(number(&link).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_an_old_connection_does_not_close_the_new_one() {
        let (link, _) = link(async |_| Ok(()));
        let mut old = Box::pin(link.run(|_| pending::<RedisResult<()>>()));
        timeout(ms(100), &mut old).await.expect_err("nothing comes");
        assert!(link.run(|_| ready(Err::<(), _>(broken()))).await.is_err());
        assert_eq!(number(&link).await.unwrap(), 2);
        drop(old);
        assert_eq!(number(&link).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_panics_is_an_error_and_not_the_last() {
        let (link, _) = link(async |number| match number {
            1 => panic!("a rotten connector"),
            _ => Ok(()),
        });
        assert!(number(&link).await.is_err());
        assert_eq!(number(&link).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_share_one_attempt() {
        let (go, gone) = oneshot::channel::<()>();
        let gone = Mutex::new(Some(gone));
        let (link, opened) = link(move |_| {
            let gone = gone.lock().unwrap().take().unwrap();
            async move {
                gone.await.unwrap();
                Ok(())
            }
        });
        let link = Arc::new(link);
        let all: Vec<_> = (0..100)
            .map(|_| {
                let link = Arc::clone(&link);
                tokio::spawn(async move { number(&link).await })
            })
            .collect();
        advance(ms(100)).await;
        go.send(()).unwrap();
        for one in all {
            assert_eq!(one.await.unwrap().unwrap(), 1);
        }
        assert_eq!(opened.load(SeqCst), 1);
    }
}
