use std::fmt;

use redis::RedisError;

/// What goes wrong in a [`RedisStore`](super::RedisStore).
#[derive(Debug)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// The server could not be reached, or refused.
    Server(RedisError),
    /// A key holds what this library never writes. It is left as it is, and its slot is not free.
    Unreadable,
}

impl fmt::Display for RedisStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(_) => f.write_str("the Redis store has a server error"),
            Self::Unreadable => f.write_str("a key of the Redis store cannot be understood"),
        }
    }
}

impl std::error::Error for RedisStoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Server(error) => Some(error),
            Self::Unreadable => None,
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
