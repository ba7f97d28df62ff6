//! Redis, under a prefix of its own.

use std::sync::Arc;

use redis::{Client, aio::MultiplexedConnection};
use suno_callback::store::RedisStore;

pub(crate) struct Redis {
    pub(crate) store: Arc<RedisStore>,
    pub(crate) connection: MultiplexedConnection,
    pub(crate) prefix: String,
}

impl Redis {
    const BATCH: u64 = 1_000;

    pub(crate) async fn open() -> Self {
        let client = Client::open(crate::server("SUNO_TEST_REDIS")).expect("a URL");
        let connection = client.get_multiplexed_async_connection().await;
        let connection = connection.expect("a Redis at SUNO_TEST_REDIS");
        let prefix = format!("suno-bench-{}:", std::process::id()); // as long as the default
        let store = RedisStore::new(client).prefix(&prefix);
        Self {
            store: Arc::new(store),
            connection,
            prefix,
        }
    }

    /// Writes done slots as the store would, a thousand in a message.
    pub(crate) async fn fill(&self, size: u64) {
        for start in (0..size).step_by(Self::BATCH as usize) {
            let mut keys = redis::pipe();
            for _ in start..size.min(start + Self::BATCH) {
                let slot = crate::slot();
                let hex = slot.as_bytes().map(|byte| format!("{byte:02x}")).concat();
                let key = format!("{}{hex}", self.prefix);
                keys.cmd("HSET").arg(&key);
                for (field, value) in [("f", "1"), ("a", "1"), ("s", "2")] {
                    keys.arg(field).arg(value);
                }
                keys.arg("o").arg(&slot.as_bytes()[..16]);
                keys.arg("l")
                    .arg("1769670760000")
                    .arg("r")
                    .arg(&[7_u8; 42][..])
                    .ignore();
                keys.cmd("PEXPIRE").arg(&key).arg(86_400_000).ignore();
            }
            let written = keys.exec_async(&mut self.connection.clone()).await;
            written.expect("keys");
        }
    }

    /// The memory that the server uses.
    pub(crate) async fn bytes(&self) -> u64 {
        self.info("memory", "used_memory:").await
    }

    /// The number of the server's process.
    pub(crate) async fn process(&self) -> u64 {
        self.info("server", "process_id:").await
    }

    async fn info(&self, section: &str, name: &str) -> u64 {
        let info = redis::cmd("INFO").arg(section).to_owned();
        let info: String = info
            .query_async(&mut self.connection.clone())
            .await
            .expect("what it says of itself");
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.parse().ok()).expect("a number")
    }

    pub(crate) async fn remove(self) {
        let (mut connection, mut cursor) = (self.connection, 0_u64);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(self.prefix.clone() + "*");
            let page = scan.arg("COUNT").arg(Self::BATCH);
            let page = page.query_async::<(u64, Vec<String>)>(&mut connection);
            let (next, keys) = page.await.expect("a page");
            if !keys.is_empty() {
                let unlink = redis::cmd("UNLINK").arg(keys).to_owned();
                unlink.exec_async(&mut connection).await.expect("an end");
            }
            if next == 0 {
                return;
            }
            cursor = next;
        }
    }
}
