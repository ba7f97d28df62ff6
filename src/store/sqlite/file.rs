//! The file of the database, as the system sees it.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::SqliteStoreError;
use crate::util::log;

/// Connections hold on to the file that was there when they were opened. Where that is gone, what
/// they write is gone with it, and SQLite says nothing.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    identity: OnceLock<Identity>,
    is_reported: AtomicBool,
}

/// Device and number.
type Identity = (u64, u64);

impl DatabaseFile {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: std::path::absolute(path).unwrap_or_else(|_| path.into()),
            identity: OnceLock::new(),
            is_reported: AtomicBool::new(false),
        }
    }

    /// Remembers which file it is, the first time that it is there.
    pub(super) fn remember(&self) {
        if self.identity.get().is_none()
            && let Some(identity) = identity(&self.path)
        {
            let _ = self.identity.set(identity);
        }
    }

    /// Whether it is still the file that it was.
    pub(super) fn check(&self) -> Result<(), SqliteStoreError> {
        let Some(known) = self.identity.get() else {
            return Ok(());
        };
        if identity(&self.path) == Some(*known) {
            self.is_reported.store(false, Relaxed);
            return Ok(());
        }
        if !self.is_reported.swap(true, Relaxed) {
            log::file_replaced(&self.path);
        }
        let path = self.path.clone();
        Err(SqliteStoreError::Replaced { path })
    }

    /// Why SQLite could not open or write the database: its text names the database file, whichever
    /// of its files is in the way.
    pub(super) fn obstacle(&self) -> Option<(PathBuf, io::Error)> {
        let dir = self.path.parent()?;
        if let Err(error) = fs::metadata(dir) {
            return Some((dir.into(), error));
        }
        for suffix in ["", "-wal", "-shm"] {
            let mut file = self.path.clone().into_os_string();
            file.push(suffix);
            match OpenOptions::new().read(true).write(true).open(&file) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Some((file.into(), error)),
            }
        }
        // SQLite makes files beside that of the database.
        let trial = dir.join(format!(".suno-callback-{}", std::process::id()));
        let made = OpenOptions::new().write(true).create_new(true).open(&trial);
        match made {
            Ok(_) => fs::remove_file(&trial).err().map(|error| (trial, error)),
            Err(error) => Some((dir.into(), error)),
        }
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// Elsewhere a file that is open can be neither deleted nor replaced.
#[cfg(not(unix))]
fn identity(_: &Path) -> Option<Identity> {
    None
}
