use std::fmt;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::util::debug_is_the_text;

/// What goes wrong in a [`RedisStore`](super::RedisStore).
#[non_exhaustive]
pub enum RedisStoreError {
    /// The server could not be reached, or refused. The text says what is missing, where the
    /// server's answer does.
    Server(RedisError),
    /// A key holds what this library never writes. It is left as it is, and its slot is not free.
    Unreadable,
    /// The user of the connection may not run these commands, which the scripts need.
    Forbidden(Vec<String>),
}

impl fmt::Display for RedisStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => match advice(error) {
                Some(advice) => write!(f, "the Redis store cannot be used: {advice}"),
                None => f.write_str("the Redis store has a server error"),
            },
            Self::Unreadable => f.write_str("a key of the Redis store cannot be understood"),
            Self::Forbidden(commands) => write!(
                f,
                "the Redis store cannot be used: the ACL of its user lacks {}; {RIGHTS}",
                commands.join(", ")
            ),
        }
    }
}

debug_is_the_text!(RedisStoreError);

impl std::error::Error for RedisStoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Server(error) => Some(error),
            Self::Unreadable | Self::Forbidden(_) => None,
        }
    }
}

impl From<RedisError> for RedisStoreError {
    fn from(error: RedisError) -> Self {
        // The scripts' own word; a key that is no hash at all is found by the server.
        match error.code() {
            Some("UNREADABLE" | "WRONGTYPE") => Self::Unreadable,
            _ => Self::Server(error),
        }
    }
}

const RIGHTS: &str = "it needs the keys of the prefix (~suno-callback:* by default) and \
                      +evalsha +eval +time +exists +hget +hmget +hset +hincrby +pexpire";

/// Answers of a server that cannot do what a claim needs, though another may, or the same one to
/// somebody who comes anew; and what is missing.
const CANNOT: [(&str, &str); 8] = [
    (
        "NOAUTH",
        "the server wants a password, and there is none in the URL",
    ),
    (
        "WRONGPASS",
        "the server does not take this user and password",
    ),
    (
        "READONLY",
        "the server is a replica and takes no writes; the address must be that of the primary",
    ),
    (
        "MASTERDOWN",
        "the server is a replica that has lost its primary; the address must be that of a primary",
    ),
    ("LOADING", "the server is still loading its data"),
    (
        "MISCONF",
        "the server cannot write its data to disk (full, or not writable) and takes no writes",
    ),
    (
        "NOREPLICAS",
        "the server has fewer good replicas than its min-replicas-to-write asks for",
    ),
    (
        "CLUSTERDOWN",
        "the Cluster is down, or this node has lost the rest of it",
    ),
];

/// Other answers that say what is missing.
const LACKS: [(&str, &str); 5] = [
    ("NOPERM", RIGHTS),
    (
        "OOM",
        "the server's memory is full; raise its maxmemory, or see what else fills it",
    ),
    ("MOVED", IS_CLUSTER),
    ("CROSSSLOT", IS_CLUSTER),
    ("BUSY", "somebody's script holds the server up"),
];

const IS_CLUSTER: &str = "the server is a node of a Cluster, which takes a `ClusterClient`";

/// Whether the connection that brought this error must not be used again.
pub(super) fn spoils(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || error.kind() == ErrorKind::UnexpectedReturnType // somebody else's answer
        || CANNOT.iter().any(|(code, _)| says(error, code))
}

fn advice(error: &RedisError) -> Option<&'static str> {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return Some("the server does not take this user and password, or its lack");
    }
    let mut known = CANNOT.iter().chain(&LACKS);
    let (_, advice) = known.find(|(code, _)| says(error, code))?;
    Some(advice)
}

/// Before Redis 7 what a command within a script was told is a part of the script's error.
fn says(error: &RedisError, code: &str) -> bool {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ResponseError) => {
            let mut words = error.detail().unwrap_or_default().split_whitespace();
            words.any(|word| word.strip_prefix('-') == Some(code))
        }
        _ => error.code() == Some(code),
    }
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn answer(text: &str) -> RedisError {
        let value = parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    #[test]
    fn a_server_that_cannot_write_is_left_also_when_a_script_found_out() {
        for text in [
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "LOADING Redis is loading the dataset in memory",
            "NOREPLICAS Not enough good replicas to write.",
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to",
            "CLUSTERDOWN The cluster is down",
            "NOAUTH Authentication required.",
            "ERR Error running script (call to f_0): @user_script:20: @user_script: 20: -READONLY \
             You can't write against a read only replica.",
        ] {
            assert!(spoils(&answer(text)), "{text}");
            assert!(advice(&answer(text)).is_some(), "{text}");
        }
        let broken = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(spoils(&broken));
    }

    #[test]
    fn an_answer_about_one_command_says_nothing_about_its_connection() {
        for text in [
            "NOSCRIPT No matching script.",
            "UNREADABLE a slot cannot be understood",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "NOPERM No permissions to access a key",
            "ERR increment or decrement would overflow",
            "ERR value READONLY is not an integer",
        ] {
            assert!(!spoils(&answer(text)), "{text}");
        }
    }
}
