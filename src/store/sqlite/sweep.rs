//! Removes rows whose time has ended.

use super::{SqliteStore, SqliteStoreError};

impl SqliteStore {
    const CLAIMS_PER_SWEEP: u32 = 64;
    const ROWS_PER_SWEEP: u32 = 256;

    /// Removes up to `limit` rows whose time has ended, and says how many. Claims do so by
    /// themselves; this is for a quiet hour. Cancel safe.
    ///
    /// # Errors
    ///
    /// When the database says no.
    pub async fn sweep(&self, limit: u32) -> Result<u64, SqliteStoreError> {
        let sweep = sqlx::query(self.statements.sweep.safe()).bind(limit);
        self.write(sweep).await
    }

    pub(super) fn sweep_now_and_then(&self) {
        self.sweeper.now_and_then(Self::CLAIMS_PER_SWEEP, || {
            let store = self.clone();
            async move { store.sweep(Self::ROWS_PER_SWEEP).await }
        });
    }
}
