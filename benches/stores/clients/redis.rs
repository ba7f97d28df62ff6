//! Redis: the store, its scripts by hand, and two plain `SET`s.

use std::sync::Arc;

use redis::{Cmd, Script, aio::MultiplexedConnection};
use suno_callback::store::{KEEP_FENCE, MAX_LEASE, RedisStore};

use super::{Comparison, Server, Way};
use crate::{LEASE, RETAIN, handle, hex, slot};

const STORE: &str = "store";
const SAME: &str = "its scripts, bare";
const BY_HAND: &str = "SET NX PX and SET PX";

const OWNER: [u8; 16] = [7; 16];
const RECORD: [u8; 42] = [7; 42];

pub(super) struct Redis(crate::redis::Redis);

impl Redis {
    pub(super) async fn open() -> Self {
        let redis = crate::redis::Redis::open().await;
        // The store has the server learn its scripts.
        stored(Arc::clone(&redis.store)).await;
        Self(redis)
    }

    pub(super) async fn remove(self) {
        self.0.remove().await;
    }

    pub(super) async fn comparison(&self) -> Comparison {
        let store = Arc::clone(&self.0.store);
        let scripts = Arc::new(Scripts::new(&self.0));
        let plain = self.0.connection.clone();
        let prefix: Arc<str> = self.0.prefix.clone().into();
        Comparison {
            server: Server(vec![self.0.process().await]),
            ways: vec![
                Way::new(STORE, move || stored(Arc::clone(&store))),
                Way::new(SAME, move || Arc::clone(&scripts).handle()),
                Way::new(BY_HAND, move || set(plain.clone(), Arc::clone(&prefix))),
            ],
            pairs: &[(STORE, SAME), (STORE, BY_HAND)],
        }
    }
}

async fn stored(store: Arc<RedisStore>) {
    assert!(handle(&*store, slot()).await);
}

/// What the store sends, without the store.
struct Scripts {
    connection: MultiplexedConnection,
    prefix: String,
    claim: Script,
    commit: Script,
}

impl Scripts {
    fn new(redis: &crate::redis::Redis) -> Self {
        macro_rules! script {
            ($file:literal) => {
                Script::new(concat!(
                    include_str!("../../../src/store/redis/lua/slot.lua"),
                    include_str!(concat!("../../../src/store/redis/lua/", $file))
                ))
            };
        }
        Self {
            connection: redis.connection.clone(),
            prefix: redis.prefix.clone(),
            claim: script!("claim.lua"),
            commit: script!("commit.lua"),
        }
    }

    async fn handle(self: Arc<Self>) {
        let (mut connection, key) = (self.connection.clone(), key(&self.prefix));
        let mut claim = self.command(&self.claim, &key);
        claim.arg(&OWNER).arg(LEASE.as_millis().to_string());
        let answer = claim.arg(KEEP_FENCE.as_millis().to_string());
        let answer = answer.arg(MAX_LEASE.as_millis().to_string());
        let answer: Vec<Vec<u8>> = answer.query_async(&mut connection).await.expect("a claim");
        let [granted, fence, _] = &answer[..] else {
            panic!("{answer:?}");
        };
        assert_eq!(granted, b"granted");
        let mut commit = self.command(&self.commit, &key);
        let commit = commit.arg(&OWNER).arg(fence).arg(&RECORD);
        let commit = commit.arg(RETAIN.as_millis().to_string());
        let applied: i64 = commit.query_async(&mut connection).await.expect("a commit");
        assert_eq!(applied, 1);
    }

    fn command(&self, script: &Script, key: &str) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.get_hash()).arg(1).arg(key);
        command
    }
}

async fn set(mut connection: MultiplexedConnection, prefix: Arc<str>) {
    let key = key(&prefix);
    let mut claim = redis::cmd("SET");
    claim.arg(&key).arg(&OWNER).arg("NX");
    let claim = claim.arg("PX").arg(LEASE.as_millis().to_string());
    let claimed: Option<String> = claim.query_async(&mut connection).await.expect("a claim");
    assert!(claimed.is_some());
    let mut commit = redis::cmd("SET");
    commit.arg(&key).arg(&RECORD);
    let commit = commit.arg("PX").arg(RETAIN.as_millis().to_string());
    let commit = commit.exec_async(&mut connection).await;
    commit.expect("a commit");
}

fn key(prefix: &str) -> String {
    [prefix, &hex(slot().as_bytes())].concat()
}
