//! The store on Redis Clusters of three and of six nodes, which the tests start themselves.

use std::{
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use harness::server::Redis;
use redis::{cluster::ClusterClient, cluster_routing};
use suno_callback::{
    DedupStore,
    store::{Claim, Eviction, Held, Owner, Record, RedisStore, Settled, SlotKey},
    testkit::{self, LawBroken},
};

use crate::failover::{Load, under_load};

/// A user who may do what the documentation names, and nothing else.
const USER: &str = "voice";
const PASSWORD: &str = "secret";
const RIGHTS: [&str; 12] = [
    "+evalsha",
    "+eval",
    "+time",
    "+exists",
    "+hget",
    "+hmget",
    "+hset",
    "+hincrby",
    "+pexpire",
    "+ping",
    "+cluster|slots",
    "+asking",
];

const LEASE: Duration = Duration::from_secs(5);

struct Cluster {
    nodes: Vec<Redis>,
}

impl Cluster {
    /// Three primaries.
    fn start() -> Self {
        Self::of(3, 0)
    }

    /// Three primaries, and a replica of each.
    fn with_replicas() -> Self {
        Self::of(6, 1)
    }

    fn of(nodes: usize, replicas: usize) -> Self {
        let password = format!(">{PASSWORD}");
        let user = ["--user", USER, "on", &password, "~suno-callback:*"];
        let arguments = [&user, &RIGHTS[..], &["--cluster-node-timeout", "1000"]].concat();
        let node = || Redis::start_node(&arguments);
        let nodes: Vec<Redis> = (0..nodes).map(|_| node()).collect();
        let mut create = Command::new("redis-cli");
        create
            .args(["--cluster", "create"])
            .args(nodes.iter().map(|node| node.addr().to_string()))
            .arg("--cluster-yes")
            .args(["--cluster-replicas", &replicas.to_string()]);
        let created = create.output().expect("redis-cli must be installed");
        let said = String::from_utf8_lossy(&created.stdout);
        assert!(created.status.success(), "{said}");
        let cluster = Self { nodes };
        until("the cluster is up", || {
            cluster.nodes.iter().all(|node| knows_all(node, replicas))
        });
        cluster
    }

    fn client(&self, user: &str) -> ClusterClient {
        let nodes = self.nodes.iter();
        ClusterClient::new(nodes.map(|node| format!("redis://{user}@{}/", node.addr()))).unwrap()
    }

    fn store(&self) -> RedisStore<ClusterClient> {
        RedisStore::new(self.client(&format!("{USER}:{PASSWORD}")))
    }

    /// Until a replica has taken the place of a primary.
    fn loses_a_primary(&mut self, fault: fn(&mut Redis)) {
        let primary = self.nodes.iter().position(|node| !is_replica(node));
        let primary = primary.expect("a primary");
        fault(&mut self.nodes[primary]);
        until("a replica has taken over", || {
            let (before, behind) = (&self.nodes[..primary], &self.nodes[primary + 1..]);
            let others = before.iter().chain(behind);
            others.filter(|node| !is_replica(node)).count() == 3
        });
    }

    fn keys_per_node(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.ask("DBSIZE")).collect()
    }
}

/// Whether a node sees a whole Cluster, and has everything if it is a replica.
fn knows_all(node: &Redis, replicas: usize) -> bool {
    let (info, nodes): (String, String) = (node.ask("CLUSTER INFO"), node.ask("CLUSTER NODES"));
    info.contains("cluster_state:ok")
        && nodes.matches("slave").count() == 3 * replicas
        && (!is_replica(node)
            || node
                .ask::<String>("INFO replication")
                .contains("master_link_status:up"))
}

fn is_replica(node: &Redis) -> bool {
    node.ask::<String>("INFO replication")
        .contains("role:slave")
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "never came true: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

async fn claim(store: &RedisStore<ClusterClient>, number: u8) -> Held {
    let (slot, owner) = (SlotKey::from([number; 32]), Owner::from([number; 16]));
    match store.claim(&slot, owner, LEASE).await.unwrap() {
        Claim::Granted(held) => held,
        other => panic!("slot {number} is free: {other:?}"),
    }
}

async fn commit(store: &RedisStore<ClusterClient>, number: u8, held: &Held) {
    let slot = SlotKey::from([number; 32]);
    let commit = store.commit(&slot, held, &Record::EMPTY, LEASE).await;
    assert_eq!(commit.unwrap(), Settled::Applied);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_it_keeps_every_law_and_uses_every_node() -> Result<(), LawBroken> {
    let cluster = Cluster::start();
    let store = Arc::new(cluster.store());
    testkit::all(&store).await?;
    let keys = cluster.keys_per_node();
    assert!(keys.iter().all(|&keys| keys > 0), "{keys:?}");
    store.check().await.unwrap();
    assert_eq!(store.eviction().await.unwrap(), Eviction::Unknown);
    let anybody = RedisStore::new(cluster.client("default"));
    assert_eq!(anybody.eviction().await.unwrap(), Eviction::Never);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_one_node_forgot_are_sent_to_it_again() {
    let cluster = Cluster::start();
    let mut connection = cluster
        .client("default")
        .get_async_connection()
        .await
        .unwrap();
    let store = cluster.store();
    for number in 0..32 {
        let mut flush = redis::cmd("SCRIPT");
        flush.arg("FLUSH");
        let all = cluster_routing::RoutingInfo::MultiNode((
            cluster_routing::MultipleNodeRoutingInfo::AllMasters,
            Some(cluster_routing::ResponsePolicy::AllSucceeded),
        ));
        let _ = connection.route_command(flush, all).await.unwrap();
        let held = claim(&store, number).await;
        commit(&store, number, &held).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_move_to_another_node_are_followed() {
    let cluster = Cluster::start();
    let store = cluster.store().prefix("suno-callback:{all}:"); // of one slot
    let mut held = Vec::new();
    for number in 0..8 {
        held.push(claim(&store, number).await);
    }
    let slot: u16 = cluster.nodes[0].ask("CLUSTER KEYSLOT {all}");
    let keys = cluster.keys_per_node();
    let from = &cluster.nodes[keys.iter().position(|keys| *keys == 8).unwrap()];
    let to = &cluster.nodes[keys.iter().position(|keys| *keys == 0).unwrap()];
    let id = |node: &Redis| node.ask::<String>("CLUSTER MYID");
    let () = to.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", id(from)));
    let () = from.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", id(to)));
    let keys: Vec<String> = from.ask(&format!("CLUSTER GETKEYSINSLOT {slot} 100"));
    for key in &keys[..4] {
        let () = from.ask(&format!("MIGRATE 127.0.0.1 {} {key} 0 5000", to.port()));
    }
    // In the middle of it: some keys are here, some are there, and new ones belong there.
    for number in 0..4 {
        commit(&store, number, &held[usize::from(number)]).await;
    }
    held.push(claim(&store, 8).await);
    for key in &keys[4..] {
        let () = from.ask(&format!("MIGRATE 127.0.0.1 {} {key} 0 5000", to.port()));
    }
    for node in [to, from] {
        let () = node.ask(&format!("CLUSTER SETSLOT {slot} NODE {}", id(to)));
    }
    for number in 4..9 {
        commit(&store, number, &held[usize::from(number)]).await;
    }
    assert_eq!(to.ask::<usize>("DBSIZE"), 9);
    assert_eq!(from.ask::<usize>("DBSIZE"), 0);
}

async fn loses_a_primary(what: &str, fault: fn(&mut Redis)) {
    let mut cluster = Cluster::with_replicas();
    let store = cluster.store();
    store.check().await.unwrap();
    let (outcome, cluster) = under_load(store, move |load: &Load| {
        load.goes_on();
        load.during(|| cluster.loses_a_primary(fault));
        load.goes_on();
        load.goes_on();
        cluster
    })
    .await;
    outcome.loses_nothing(what, cluster.store()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_six_nodes_loses_a_primary_under_load() {
    loses_a_primary("redis cluster, a primary killed", Redis::kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_of_a_cluster_of_six_nodes_hangs_under_load() {
    loses_a_primary("redis cluster, a primary stopped", |node| node.pause()).await;
}
