//! What is said on connections, by turns.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::watch;

/// A turn is all that a client says before it hears the server again: one per round trip.
#[derive(Clone)]
pub struct Turns(Arc<watch::Sender<Option<Vec<Vec<u8>>>>>);

impl Default for Turns {
    /// Nobody listens yet.
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Turns {
    pub(crate) fn listen(&self) {
        self.0.send_if_modified(|turns| {
            let begins = turns.is_none();
            turns.get_or_insert_default();
            begins
        });
    }

    /// One end of a new connection.
    pub(crate) fn speaker(&self) -> Speaker {
        Speaker {
            turns: self.clone(),
            turn: AtomicUsize::new(Speaker::SILENT),
        }
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.0.borrow().as_ref().map_or(0, Vec::len)
    }

    /// Those after the first so many.
    pub fn since(&self, count: usize) -> Vec<Vec<u8>> {
        let turns = self.0.borrow();
        turns.iter().flatten().skip(count).cloned().collect()
    }

    /// Waits until `needle` was said so many times after the first `count` turns.
    pub async fn until(&self, count: usize, needle: &[u8], times: usize) {
        let said = |turns: &Option<Vec<Vec<u8>>>| {
            let turns = turns.iter().flatten().skip(count);
            let said = turns.flat_map(|turn| turn.windows(needle.len()));
            said.filter(|part| *part == needle).count() >= times
        };
        self.0.subscribe().wait_for(said).await.unwrap();
    }
}

pub(crate) struct Speaker {
    turns: Turns,
    /// Whose place among the turns is this, while the client has not heard the server again.
    turn: AtomicUsize,
}

impl Speaker {
    const SILENT: usize = usize::MAX;

    pub(crate) fn says(&self, bytes: &[u8]) {
        self.turns.0.send_if_modified(|turns| {
            let Some(turns) = turns else {
                return false;
            };
            if self.turn.load(SeqCst) == Self::SILENT {
                self.turn.store(turns.len(), SeqCst);
                turns.push(Vec::new());
            }
            turns[self.turn.load(SeqCst)].extend_from_slice(bytes);
            true
        });
    }

    pub(crate) fn hears(&self) {
        self.turn.store(Self::SILENT, SeqCst);
    }
}
