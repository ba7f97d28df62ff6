use std::{collections::HashMap, sync::atomic::Ordering::Relaxed};

use redis::{ErrorKind, RedisError};

use super::{RedisConnect, RedisStore, RedisStoreError};
use crate::{
    store::{SlotKey, trial::trial},
    util::log,
};

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

impl<C: RedisConnect> RedisStore<C> {
    /// Asks the server whether it evicts. Of a Cluster one node is asked.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError::Server`] when the server cannot be reached.
    pub async fn eviction(&self) -> Result<Eviction, RedisStoreError> {
        let asked = self.link().run(async |mut connection| {
            let mut command = redis::cmd("CONFIG");
            command.arg("GET").arg("maxmemory-policy");
            command.query_async(&mut connection).await
        });
        match asked.await {
            Ok(answer) => Ok(Eviction::of(answer)),
            Err(error) if is_refusal(&error) => Ok(Eviction::Unknown),
            Err(error) => Err(error.into()),
        }
    }

    /// What callbacks need, in the order in which the answers are the clearest.
    pub(super) async fn checked(&self) -> Result<(), RedisStoreError> {
        self.check_rights().await?;
        trial(self).await?;
        // Once: to ask again and again what one may not ask fills the server's ACL log.
        if !self.inner.looked.load(Relaxed) {
            match self.eviction().await? {
                Eviction::Never => {}
                Eviction::Possible(policy) => log::eviction_possible(&policy),
                Eviction::Unknown => log::eviction_unknown(),
            }
            self.inner.looked.store(true, Relaxed);
        }
        Ok(())
    }

    /// Asks in a script that is sent as text, which a server that was started again needs too.
    async fn check_rights(&self) -> Result<(), RedisStoreError> {
        let key = self.key(&SlotKey::ZERO);
        let rights = &self.inner.scripts.rights;
        let asked = async |mut connection| rights.run_text(&mut connection, &key, &[]).await;
        let lacking: Vec<String> = self.link().run(asked).await?;
        match lacking.is_empty() {
            true => Ok(()),
            false => Err(RedisStoreError::Forbidden(lacking)),
        }
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
