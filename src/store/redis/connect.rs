use std::{future::Future, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, RedisResult,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::{ClusterClient, ClusterConfig},
    cluster_async::ClusterConnection,
};

/// Opens connections for a [`RedisStore`](super::RedisStore), again and again.
///
/// For one server that is a [`redis::Client`], for a Cluster a [`ClusterClient`]. Whoever knows
/// more about where the server is, or how to be let in, brings a closure.
///
/// # Example
///
/// ```no_run
/// use suno_callback::store::RedisStore;
///
/// /// Asks a Sentinel, a registry, a secret store.
/// async fn find_primary() -> redis::RedisResult<String> {
///     // ...
/// #   Ok("redis://127.0.0.1/".into())
/// }
///
/// let store = RedisStore::new(|| async {
///     let client = redis::Client::open(find_primary().await?)?;
///     client.get_multiplexed_async_connection().await
/// });
/// # let _ = store;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot open a connection to Redis",
    note = "give a `redis::Client`, a `redis::cluster::ClusterClient`, or a closure that connects"
)]
pub trait RedisConnect: Send + Sync + 'static {
    /// What is opened: shared by all who use the store, so a clone must be cheap.
    type Connection: ConnectionLike + Clone + Send + Sync + 'static;

    /// Opens a connection to wherever the name leads now.
    ///
    /// It runs in a task of its own, one at a time, and is dropped after `within`.
    ///
    /// # Errors
    ///
    /// When nobody answers there, or not as a server should.
    fn connect(
        &self,
        within: Duration,
    ) -> impl Future<Output = RedisResult<Self::Connection>> + Send;
}

impl RedisConnect for Client {
    type Connection = MultiplexedConnection;

    async fn connect(&self, _: Duration) -> RedisResult<MultiplexedConnection> {
        // Who waits has a bound of his own. One more inside would be a second timer.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        self.get_multiplexed_async_connection_with_config(&config)
            .await
    }
}

impl RedisConnect for ClusterClient {
    type Connection = ClusterConnection;

    async fn connect(&self, within: Duration) -> RedisResult<ClusterConnection> {
        // A node that hangs is waited for twice: among the first nodes, and among all. The others
        // must come up all the same.
        let config = ClusterConfig::new()
            .set_connection_timeout(within / 3)
            .set_response_timeout(within);
        self.get_async_connection_with_config(config).await
    }
}

impl<F, W, C> RedisConnect for F
where
    F: Fn() -> W + Send + Sync + 'static,
    W: Future<Output = RedisResult<C>> + Send,
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    type Connection = C;

    fn connect(&self, _: Duration) -> impl Future<Output = RedisResult<C>> + Send {
        self()
    }
}
