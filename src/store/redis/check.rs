use std::collections::HashMap;

use redis::{ErrorKind, RedisError, aio::ConnectionLike};

use super::{RedisStore, RedisStoreError};
use crate::trace;

/// Whether the server may drop slots when its memory is full.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a slot that is evicted is forgotten, and its event may be handled twice"]
#[non_exhaustive]
pub enum Eviction {
    /// No: `maxmemory-policy` is `noeviction`. A full server refuses claims instead.
    Never,
    /// Yes, under this `maxmemory-policy`.
    Possible(String),
    /// The server does not say: managed services forbid `CONFIG`. Look in their console.
    Unknown,
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisStore<C> {
    /// Checks at the start that the server can be reached and evicts nothing. What is not as it
    /// should be is logged as a warning too.
    ///
    /// Of a Cluster one node is asked.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError::Server`] when the server cannot be reached.
    pub async fn check(&self) -> Result<Eviction, RedisStoreError> {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("maxmemory-policy");
        let answer = command.query_async(&mut self.connection.clone()).await;
        let eviction = match answer {
            Ok(answer) => Eviction::of(answer),
            Err(error) if is_refusal(&error) => Eviction::Unknown,
            Err(error) => return Err(error.into()),
        };
        match &eviction {
            Eviction::Never => {}
            Eviction::Possible(policy) => trace::eviction_possible(policy),
            Eviction::Unknown => trace::eviction_unknown(),
        }
        Ok(eviction)
    }
}

impl Eviction {
    fn of(mut answer: HashMap<String, String>) -> Self {
        match answer.remove("maxmemory-policy") {
            Some(policy) if policy == "noeviction" => Self::Never,
            Some(policy) => Self::Possible(policy),
            None => Self::Unknown,
        }
    }
}

/// Whether the server has answered, though not as asked.
fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}
