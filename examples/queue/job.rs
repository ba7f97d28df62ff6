//! What is to be done.

use serde::{Deserialize, Serialize};
use suno_callback::product::{MusicEvent, MusicOutcome, Track};

/// The name of the queue.
pub const QUEUE: &str = "downloads";

/// Tracks that are to be downloaded before the provider deletes them.
#[derive(Serialize, Deserialize)]
pub struct Download {
    pub task: String,
    pub links: Vec<String>,
}

impl Download {
    /// What an event gives cause to, if it does.
    pub fn of(event: &MusicEvent) -> Option<Self> {
        let MusicOutcome::Complete(tracks) = event.outcome() else {
            return None;
        };
        Some(Self {
            task: event.task_id().as_str().to_owned(),
            links: tracks
                .iter()
                .filter_map(Track::audio_url)
                .map(Into::into)
                .collect(),
        })
    }
}
