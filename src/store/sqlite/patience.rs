use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep};

use super::{SqliteStoreError, error::is_busy};

/// Goes on while others do not let go of the file, for about as long as `patience`: SQLite itself waits
/// as long as a callback may, and for a switch to WAL mode not at all.
pub(super) async fn patiently<F>(
    patience: Duration,
    step: impl Fn() -> F,
) -> Result<(), SqliteStoreError>
where
    F: Future<Output = Result<(), SqliteStoreError>>,
{
    let began = Instant::now();
    loop {
        match step().await {
            Err(SqliteStoreError::Database(error))
                if is_busy(&error) && began.elapsed() < patience =>
            {
                sleep(Duration::from_millis(20)).await;
            }
            done => return done,
        }
    }
}
