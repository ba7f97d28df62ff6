use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, aio::ConnectionLike};

/// The script of one step.
#[derive(Debug)]
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

impl Script {
    pub(super) fn new(code: &'static str) -> Self {
        let hash = redis::Script::new(code).get_hash().into();
        Self { code, hash }
    }

    /// Runs the script by its hash, and once by its text where the server does not know it: after
    /// a restart, a failover or `SCRIPT FLUSH`. The text goes to the node of the key, and that
    /// node remembers it.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
        key: &[u8],
        arguments: &[&[u8]],
    ) -> RedisResult<T> {
        let by_hash = command("EVALSHA", &self.hash, key, arguments);
        match by_hash.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.run_text(connection, key, arguments).await
            }
            answer => answer,
        }
    }

    pub(super) async fn run_text<T: FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
        key: &[u8],
        arguments: &[&[u8]],
    ) -> RedisResult<T> {
        let by_text = command("EVAL", self.code, key, arguments);
        by_text.query_async(connection).await
    }
}

fn command(name: &str, script: &str, key: &[u8], arguments: &[&[u8]]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(1).arg(key).arg(arguments);
    command
}
