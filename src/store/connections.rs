//! The application's pool, and which of its connections are still good.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use sqlx::{Database, Error, Pool, pool::PoolConnection};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use super::millis::millis;

/// Lends connections for one operation each. One on which the operation did not come to its end, or
/// that its user found to be useless, is never lent again, and the idle ones that are as old as it
/// are thrown away with it: what cut, swallowed or outdated one of them has most likely done so to
/// all, and a full pool of them must not cost a try each.
///
/// But where the server answers others meanwhile, it is only slow, and to connect again would make it
/// slower until it answers nobody: then the connection is asked in the background, and lent again
/// only when it has answered.
#[derive(Debug)]
pub(super) struct Connections<DB: Database> {
    pool: Pool<DB>,
    may_be_slow: bool,
    /// How often the idle ones were thrown away; clones throw away together.
    generation: Arc<AtomicU64>,
    /// How many operations came to their end.
    answers: Arc<AtomicU64>,
    /// How long the layer of this very clone waits, in milliseconds; zero until one says so.
    timeout: AtomicU64,
}

impl<DB: Database> Connections<DB> {
    /// Until a layer says something else.
    const TIMEOUT: Duration = Duration::from_secs(1);

    /// To a server.
    #[cfg(feature = "postgres")]
    pub(super) fn remote(pool: Pool<DB>) -> Self {
        Self::new(pool, true)
    }

    /// To a file, which is opened again in no time.
    #[cfg(feature = "sqlite")]
    pub(super) fn local(pool: Pool<DB>) -> Self {
        Self::new(pool, false)
    }

    fn new(pool: Pool<DB>, may_be_slow: bool) -> Self {
        Self {
            pool,
            may_be_slow,
            generation: Arc::default(),
            answers: Arc::default(),
            timeout: AtomicU64::new(0),
        }
    }

    pub(super) fn pool(&self) -> &Pool<DB> {
        &self.pool
    }

    /// How long somebody waits for one operation.
    pub(super) fn timeout(&self) -> Duration {
        self.told_timeout().unwrap_or(Self::TIMEOUT)
    }

    /// How long a layer has said that it waits.
    pub(super) fn told_timeout(&self) -> Option<Duration> {
        match self.timeout.load(Relaxed) {
            0 => None,
            told => Some(Duration::from_millis(told)),
        }
    }

    pub(super) fn set_timeout(&self, timeout: Duration) {
        self.timeout.store(as_u64(timeout), Relaxed);
    }

    /// A connection that is closed unless it is [given back](Loan::give_back).
    pub(super) async fn lend(&self) -> Result<Loan<'_, DB>, Error> {
        let mut loan = Loan {
            connections: self,
            connection: None,
            generation: self.generation.load(Relaxed),
            answers: self.answers.load(Relaxed),
            began: Instant::now(),
            is_settled: false,
        };
        match self.pool.acquire().await {
            // Whoever stood in the queue for so long would not come to the end of its operation before
            // the layer drops it, and cost the pool a good connection for nothing.
            Ok(connection) if self.told_timeout().is_some() && loan.is_late() => {
                loan.is_settled = true;
                hand_back(connection, self.timeout());
                return Err(Error::PoolTimedOut);
            }
            Ok(connection) => loan.connection = Some(connection),
            // The pool's own patience has ended; perhaps with a test that nobody answers.
            Err(Error::PoolTimedOut) => return Err(loan.condemn(Error::PoolTimedOut)),
            Err(error) => return Err(error),
        }
        Ok(loan)
    }

    /// Closes what is idle, unless that was done since `generation`: what is idle now was opened
    /// later than what has failed.
    fn replace(&self, generation: u64) {
        let next = generation.wrapping_add(1);
        let swapped = self
            .generation
            .compare_exchange(generation, next, Relaxed, Relaxed);
        if swapped.is_err() {
            return;
        }
        for _ in 0..self.pool.num_idle() {
            match self.pool.try_acquire() {
                Some(connection) => drop(connection.detach()),
                None => break,
            }
        }
    }
}

impl<DB: Database> Clone for Connections<DB> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            may_be_slow: self.may_be_slow,
            generation: Arc::clone(&self.generation),
            answers: Arc::clone(&self.answers),
            timeout: AtomicU64::new(self.timeout.load(Relaxed)),
        }
    }
}

/// A connection for one operation.
pub(super) struct Loan<'a, DB: Database> {
    connections: &'a Connections<DB>,
    /// None while the pool looks for one, and when the loan has ended.
    connection: Option<PoolConnection<DB>>,
    generation: u64,
    answers: u64,
    began: Instant,
    is_settled: bool,
}

impl<DB: Database> Loan<'_, DB> {
    pub(super) fn connection(&mut self) -> Result<&mut DB::Connection, Error> {
        self.connection.as_deref_mut().ok_or(Error::PoolClosed)
    }

    /// Whether most of the time is over.
    fn is_late(&self) -> bool {
        self.began.elapsed() >= self.connections.timeout() / 4 * 3
    }

    /// The operation has come to its end, whatever that was, and the connection is good.
    pub(super) fn give_back(mut self) {
        self.is_settled = true;
        self.connections.answers.fetch_add(1, Relaxed);
        if let Some(connection) = self.connection.take() {
            hand_back(connection, self.connections.timeout());
        }
    }

    /// The connection is of no use any more, because of this `error`.
    pub(super) fn condemn(mut self, error: Error) -> Error {
        self.is_settled = true;
        self.close();
        self.connections.replace(self.generation);
        error
    }

    /// Not by way of the pool, which would wait for the other end to answer, and count the
    /// connection among its own until then.
    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

/// Whoever waited for the operation waits no longer.
impl<DB: Database> Drop for Loan<'_, DB> {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let others_are_answered = self.connections.answers.load(Relaxed) != self.answers;
        if self.connections.may_be_slow && others_are_answered {
            if let Some(connection) = self.connection.take() {
                hand_back(connection, self.connections.timeout());
            }
            return;
        }
        self.close();
        // A peer that hangs up early says nothing about the database.
        if self.is_late() {
            self.connections.replace(self.generation);
        }
    }
}

/// Gives the connection to the pool when it answers in time. Until then it counts as lent.
///
/// To drop it would do the same without a bound: the pool asks whatever it takes back, and one whose
/// line swallows the question would keep its place among the lent for ever.
fn hand_back<DB: Database>(mut connection: PoolConnection<DB>, time: Duration) {
    match Handle::try_current() {
        Ok(runtime) => {
            // What the pool's own drop does, in a future that closes the connection when it ends early.
            let returned = connection.return_to_pool();
            runtime.spawn(async move { timeout(time, returned).await });
        }
        Err(_) => drop(connection.detach()),
    }
}

fn as_u64(timeout: Duration) -> u64 {
    u64::try_from(millis(timeout)).unwrap_or(u64::MAX).max(1)
}
