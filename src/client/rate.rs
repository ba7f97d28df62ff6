//! How often the provider is asked, by everybody who shares a client.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::pace::LONGEST;

/// Lets one request through per interval, evenly: no burst, so that no window of time sees more
/// than its share.
pub(super) struct Rate {
    interval: Duration,
    /// When the last one was let through. Whoever waits holds it, so all others queue in order.
    last: tokio::sync::Mutex<Option<Instant>>,
    hold: Mutex<Hold>,
}

/// After a 429, everybody waits.
struct Hold {
    until: Option<Instant>,
    next: Duration,
}

impl Hold {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(60);
    /// The most that a provider's wish is obeyed.
    const LONGEST_WISH: Duration = Duration::from_secs(300);

    fn pause(&mut self, wish: Option<Duration>) -> Duration {
        let next = self.next;
        self.next = next.saturating_mul(2).min(Self::LONGEST);
        wish.map_or(next, |wish| wish.clamp(Self::FIRST, Self::LONGEST_WISH))
    }
}

impl Rate {
    /// At most `requests` in each `span`.
    pub(super) fn new(requests: u32, span: Duration) -> Self {
        Self {
            interval: span.min(LONGEST) / requests.max(1),
            last: tokio::sync::Mutex::default(),
            hold: Mutex::new(Hold {
                until: None,
                next: Hold::FIRST,
            }),
        }
    }

    /// Completes when it is the caller's turn. Cancel safe: whoever gives up costs nothing.
    pub(super) async fn turn(&self) {
        let mut last = self.last.lock().await;
        loop {
            let now = Instant::now();
            let due = last.map(|last| last + self.interval).max(self.held_until());
            match due.filter(|due| *due > now) {
                Some(due) => sleep_until(due).await,
                None => {
                    *last = Some(now);
                    return;
                }
            }
        }
    }

    /// Holds everybody back and says for how long: as the provider wished, or twice as long as
    /// the last time. Several refusals of one burst count as one.
    pub(super) fn back_off(&self, wish: Option<Duration>) -> Duration {
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let held = hold.until.filter(|until| *until > now && wish.is_none());
        let until = held.unwrap_or_else(|| now + hold.pause(wish));
        hold.until = hold.until.max(Some(until));
        until - now
    }

    /// The provider answers again.
    pub(super) fn recover(&self) {
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        hold.next = Hold::FIRST;
    }

    fn held_until(&self) -> Option<Instant> {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        hold.until
    }
}
