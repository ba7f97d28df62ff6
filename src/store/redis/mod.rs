//! One key per slot in Redis.

mod check;
mod connect;
mod error;
mod link;
mod script;
mod scripts;
mod value;

pub use self::{check::Eviction, connect::RedisConnect, error::RedisStoreError};

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use redis::{Client, FromRedisValue};

use self::{
    link::Link,
    script::Script,
    scripts::Scripts,
    value::{argument, number, to_record},
};
use super::{Claim, DedupStore, Held, KEEP_FENCE, MAX_LEASE, Owner, Record, Settled, SlotKey};

/// Remembers in Redis or Valkey, a Cluster of either included: for many replicas.
///
/// Takes a [`redis::Client`], a [`ClusterClient`](redis::cluster::ClusterClient), or anything else
/// that can [connect](RedisConnect). Cheap to clone.
///
/// # Connections
///
/// All operations share one connection, which is opened by the first of them. It is never used
/// again once an operation on it timed out, was dropped or broke, or once the server said that it
/// cannot write (`READONLY`, `MASTERDOWN`, `LOADING`, `NOREPLICAS`, `MISCONF`, `CLUSTERDOWN`) or
/// wants a password. The next operation opens another one, to wherever the name leads then: so a
/// failover behind a name, a server that restarts and a gateway that has forgotten its connections
/// cost a try of an operation and not the event. However many wait, one attempt to connect is made
/// at a time, it takes no longer than
/// [`Times::store_operation`](crate::Times::store_operation), and the next begins 50 ms later at
/// the earliest.
///
/// Of a Cluster, the `redis` crate's connection follows `MOVED` and `ASK` and asks for the slots
/// again by itself. What it does not do by itself is to give up a node that takes everything and
/// answers nothing; there the whole connection is replaced, as above, and an attempt gives each
/// node a third of its time. While a node is away that has not been replaced by its replica, events
/// of its slots wait; how long is what `cluster-node-timeout` says, by default longer than the
/// provider waits. 2 to 5 seconds suit better.
///
/// # What it promises
///
/// One key per slot and one script per step, on the clock of the server, so each step is atomic.
/// What Redis has acknowledged it may still forget: in a crash, up to a second with
/// `appendfsync everysec` and everything without an append-only file; in a failover, what the
/// replica had not received. A forgotten claim lets a second handler run beside the first, a
/// forgotten record lets a later callback be handled again. So: at least once, twice rarely.
/// Nothing acknowledged is lost. Where twice is too often, use `PostgresStore`.
///
/// # What the server needs
///
/// `maxmemory-policy noeviction`, or an evicted claim is a forgotten claim; `appendonly yes`; and
/// where it has an ACL the keys `~suno-callback:*` and `+evalsha +eval +time +exists +hget +hmget
/// +hset +hincrby +pexpire`, on a Cluster also `+ping +cluster|slots +asking`.
/// [`check`](DedupStore::check) looks. Redis 7 or later, or Valkey; Redis 5 keeps the laws too, but
/// cannot tell `check` what it lacks.
///
/// # Growth
///
/// A key takes some 320 bytes and expires by itself: an open slot after an hour, a done one after
/// its retention, by default [seven days](DedupStore::retention). Nothing has to be swept. So the
/// memory that is needed is 320 bytes for every success and failure of seven days.
///
/// # Operating it
///
/// - Watch the warnings `the store failed` and `the store did not answer in time` in the log,
///   `used_memory` beside `maxmemory`, and `evicted_keys`, which must stay 0. A full server
///   with `noeviction` refuses claims and the answer is 503: nothing is lost while the
///   provider tries again.
/// - A restart without an append-only file, `FLUSHALL`, or a failover to a replica that lagged
///   forgets: what the provider still repeats is handled again, and what runs is handled twice.
///   `SCRIPT FLUSH` costs nothing but one message a step.
/// - By hand you may read with `HGETALL` and `PTTL`, and, to have an event handled again, `DEL` its
///   key while nobody handles it: its fence then starts at 1 again. Never change a field or call
///   `PERSIST`: what cannot be understood is an error until the key is deleted.
///
/// # Example
///
/// ```no_run
/// use suno_callback::{DedupStore, SigningKey, SunoCallbackLayer, store::RedisStore};
///
/// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::new(redis::Client::open("redis://redis.internal/")?).prefix("voices:");
/// store.check().await?; // says what is missing; warns where slots may be evicted
/// let layer = SunoCallbackLayer::new(SigningKey::new("the key of the settings page")?, store);
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
///
/// A Cluster, named by some of its nodes:
///
/// ```no_run
/// use redis::cluster::ClusterClient;
/// use suno_callback::store::RedisStore;
///
/// # fn demo() -> redis::RedisResult<()> {
/// let nodes = ["redis://node-1.internal/", "redis://node-2.internal/", "redis://node-3.internal/"];
/// // Short pauses: by default the crate waits longer than an operation of the layer lasts.
/// let client = ClusterClient::builder(nodes).min_retry_wait(10).max_retry_wait(200).build()?;
/// let store = RedisStore::new(client);
/// # let _ = store;
/// # Ok(())
/// # }
/// ```
pub struct RedisStore<C: RedisConnect = Client> {
    inner: Arc<Inner<C>>,
    prefix: Arc<[u8]>,
}

struct Inner<C: RedisConnect> {
    link: Link<C>,
    scripts: Scripts,
    /// Whether a check has looked for eviction.
    looked: AtomicBool,
}

impl<C: RedisConnect> RedisStore<C> {
    const PREFIX: &[u8] = b"suno-callback:";

    /// A store whose keys begin with `suno-callback:`. Nothing is opened yet.
    pub fn new(client: C) -> Self {
        Self {
            inner: Arc::new(Inner {
                link: Link::new(client),
                scripts: Scripts::new(),
                looked: AtomicBool::new(false),
            }),
            prefix: Self::PREFIX.into(),
        }
    }

    /// Begins the keys with something else. 64 hexadecimal digits follow.
    ///
    /// Braces in it mean to a Cluster what they always mean: all keys go to one node.
    pub fn prefix(mut self, prefix: impl AsRef<[u8]>) -> Self {
        self.prefix = prefix.as_ref().into();
        self
    }

    fn key(&self, slot: &SlotKey) -> Vec<u8> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0');
        let hex = slot.as_bytes().iter();
        let hex = hex.flat_map(|byte| [digit(byte >> 4), digit(*byte)]);
        self.prefix.iter().copied().chain(hex).collect()
    }

    fn link(&self) -> &Link<C> {
        &self.inner.link
    }

    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        slot: &SlotKey,
        arguments: &[&[u8]],
    ) -> Result<T, RedisStoreError> {
        let key = self.key(slot);
        let step = async |mut connection| script.run(&mut connection, &key, arguments).await;
        Ok(self.link().run(step).await?)
    }

    /// Runs a step for a holder: its owner and its fence, and what the step needs besides.
    async fn settle(
        &self,
        script: &Script,
        slot: &SlotKey,
        held: &Held,
        arguments: [&[u8]; 2],
    ) -> Result<Settled, RedisStoreError> {
        let (owner, fence) = (held.owner(), held.fence().to_string());
        let [first, second] = arguments;
        let arguments = [owner.as_bytes(), fence.as_bytes(), first, second];
        match self.run(script, slot, &arguments).await? {
            1 => Ok(Settled::Applied),
            0 => Ok(Settled::Lost),
            _ => Err(RedisStoreError::Unreadable),
        }
    }
}

impl<C: RedisConnect> DedupStore for RedisStore<C> {
    type Error = RedisStoreError;

    async fn peek(&self, slot: &SlotKey) -> Result<Option<Record>, RedisStoreError> {
        let record: Option<Vec<u8>> = self.run(&self.inner.scripts.peek, slot, &[]).await?;
        record.map(|bytes| to_record(&bytes)).transpose()
    }

    async fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, RedisStoreError> {
        let times = [lease, KEEP_FENCE, MAX_LEASE].map(argument);
        let [lease, keep, longest] = times.each_ref().map(String::as_bytes);
        let arguments = [owner.as_bytes(), lease, keep, longest];
        let answer: Vec<Vec<u8>> = self
            .run(&self.inner.scripts.claim, slot, &arguments)
            .await?;
        let answer: Vec<&[u8]> = answer.iter().map(Vec::as_slice).collect();
        match *answer {
            [b"granted", fence, attempt] => {
                let held = Held::new(owner, number(fence)?, number(attempt)?);
                Ok(Claim::Granted(held))
            }
            [b"held", left] => Ok(Claim::InFlight {
                remaining: Duration::from_millis(number(left)?),
            }),
            [b"done", record] => Ok(Claim::Done(to_record(record)?)),
            _ => Err(RedisStoreError::Unreadable),
        }
    }

    async fn renew(
        &self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> Result<Settled, RedisStoreError> {
        let times = [lease, KEEP_FENCE].map(argument);
        let arguments = times.each_ref().map(String::as_bytes);
        self.settle(&self.inner.scripts.renew, slot, held, arguments)
            .await
    }

    async fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Result<Settled, RedisStoreError> {
        let retain = argument(retain);
        let arguments = [record.as_bytes(), retain.as_bytes()];
        self.settle(&self.inner.scripts.commit, slot, held, arguments)
            .await
    }

    async fn release(&self, slot: &SlotKey, held: &Held) -> Result<Settled, RedisStoreError> {
        let keep = argument(KEEP_FENCE);
        let arguments = [keep.as_bytes(), b""];
        self.settle(&self.inner.scripts.release, slot, held, arguments)
            .await
    }

    /// Seven days.
    fn retention(&self) -> Duration {
        Duration::from_secs(7 * 24 * 3600)
    }

    /// Looks whether the user may do what the scripts do, and tries a claim and its release. The
    /// first check also logs a warning where the server may evict; [`eviction`](Self::eviction) says
    /// the same to the program.
    ///
    /// Of a Cluster one node is tried.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError::Forbidden`], or [`RedisStoreError::Server`] whose text says what is
    /// missing.
    async fn check(&self) -> Result<(), RedisStoreError> {
        self.checked().await
    }

    fn set_operation_timeout(&self, timeout: Duration) {
        self.link().set_operation_timeout(timeout);
    }
}

impl<C: RedisConnect> Clone for RedisStore<C> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            prefix: Arc::clone(&self.prefix),
        }
    }
}

impl<C: RedisConnect> fmt::Debug for RedisStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = String::from_utf8_lossy(&self.prefix);
        f.debug_struct("RedisStore")
            .field("prefix", &prefix)
            .finish_non_exhaustive()
    }
}
