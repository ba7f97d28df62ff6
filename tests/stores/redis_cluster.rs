//! The store on a Redis Cluster of three nodes, which the test starts itself.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use harness::server::Redis;
use redis::{cluster::ClusterClient, cluster_async::ClusterConnection, cluster_routing};
use suno_callback::{
    DedupStore,
    store::{Claim, Eviction, Owner, Record, RedisStore, Settled, SlotKey},
    testkit::{self, LawBroken},
};

struct Cluster {
    nodes: Vec<Redis>,
}

impl Cluster {
    fn start() -> Self {
        let nodes: Vec<Redis> = (0..3).map(|_| Redis::start_node()).collect();
        let addresses: Vec<String> = nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()))
            .collect();
        let mut create = Command::new("redis-cli");
        create
            .args(["--cluster", "create"])
            .args(&addresses)
            .arg("--cluster-yes");
        let created = create.output().expect("redis-cli must be installed");
        let said = String::from_utf8_lossy(&created.stdout);
        assert!(created.status.success(), "{said}");
        Self { nodes }
    }

    /// A connection, once all nodes agree who has which slots.
    async fn connection(&self) -> ClusterConnection {
        let urls = self
            .nodes
            .iter()
            .map(|node| format!("redis://127.0.0.1:{}/", node.port()));
        let client = ClusterClient::new(urls).unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Ok(connection) = client.get_async_connection().await
                && self.is_ok().await
            {
                return connection;
            }
            assert!(Instant::now() < end, "the cluster must come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn is_ok(&self) -> bool {
        for node in &self.nodes {
            let mut raw = node
                .client()
                .get_multiplexed_async_connection()
                .await
                .unwrap();
            let mut info = redis::cmd("CLUSTER");
            let info: String = info.arg("INFO").query_async(&mut raw).await.unwrap();
            if !info.contains("cluster_state:ok") {
                return false;
            }
        }
        true
    }

    async fn keys_per_node(&self) -> Vec<usize> {
        let mut keys = Vec::new();
        for node in &self.nodes {
            let mut raw = node
                .client()
                .get_multiplexed_async_connection()
                .await
                .unwrap();
            keys.push(redis::cmd("DBSIZE").query_async(&mut raw).await.unwrap());
        }
        keys
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_it_keeps_every_law_and_uses_every_node() -> Result<(), LawBroken> {
    let cluster = Cluster::start();
    let store = Arc::new(RedisStore::new(cluster.connection().await));
    testkit::all(&store).await?;
    let keys = cluster.keys_per_node().await;
    assert!(keys.iter().all(|&keys| keys > 0), "{keys:?}");
    assert_eq!(store.check().await.unwrap(), Eviction::Never);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_one_node_forgot_are_sent_to_it_again() {
    let cluster = Cluster::start();
    let mut connection = cluster.connection().await;
    let store = RedisStore::new(connection.clone());
    for number in 0..32 {
        let mut flush = redis::cmd("SCRIPT");
        flush.arg("FLUSH");
        let all = cluster_routing::RoutingInfo::MultiNode((
            cluster_routing::MultipleNodeRoutingInfo::AllMasters,
            Some(cluster_routing::ResponsePolicy::AllSucceeded),
        ));
        let _ = connection.route_command(flush, all).await.unwrap();
        let (slot, owner) = (SlotKey::from([number; 32]), Owner::from([number; 16]));
        let lease = Duration::from_secs(5);
        let Claim::Granted(held) = store.claim(&slot, owner, lease).await.unwrap() else {
            panic!("slot {number} is free");
        };
        let commit = store.commit(&slot, &held, &Record::EMPTY, lease).await;
        assert_eq!(commit.unwrap(), Settled::Applied);
    }
}
