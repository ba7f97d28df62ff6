//! Removes rows that have expired.

use std::time::Duration;

use super::{PostgresStore, PostgresStoreError};
use crate::store::sweeper::Sweeper;

impl PostgresStore {
    /// How many claims there are between two sweeps.
    const CLAIMS_PER_SWEEP: u32 = 128;

    /// How many rows a sweep removes at most.
    const ROWS_PER_SWEEP: u32 = 1000;

    /// How long the server works at a sweep that somebody asked for.
    const LONG_SWEEP: Duration = Duration::from_secs(3600);

    /// Removes at most `limit` rows that have expired, and says how many. Rows that somebody has
    /// locked, or that cannot be understood, stay.
    ///
    /// # Errors
    ///
    /// [`PostgresStoreError::Database`].
    pub async fn sweep(&self, limit: u32) -> Result<u64, PostgresStoreError> {
        self.sweep_within(Self::LONG_SWEEP, limit).await
    }

    async fn sweep_within(&self, time: Duration, limit: u32) -> Result<u64, PostgresStoreError> {
        let swept = self.rows(|sql| sql.sweep(time, limit)).await?;
        Ok(swept.len() as u64)
    }

    pub(super) fn sweep_now_and_then(&self) {
        self.sweeper.now_and_then(Self::CLAIMS_PER_SWEEP, || {
            let store = self.clone();
            async move {
                store
                    .sweep_within(Sweeper::TIMEOUT, Self::ROWS_PER_SWEEP)
                    .await
            }
        });
    }
}
