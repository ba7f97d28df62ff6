//! How often the provider is asked, by everybody who shares a client.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::util::{lock, timer::by};

/// Lets one request through per interval, evenly: no burst, so that no window of time sees more
/// than its share. Who is let through next is decided when it may be.
pub(super) struct Rate {
    interval: Duration,
    state: Mutex<State>,
}

struct State {
    /// When the last one was let through.
    last: Option<Instant>,
    turns: usize,
    lanes: [Queue; Lane::ALL.len()],
    entered: u64,
    hold: Hold,
}

/// Those who wait, in their order.
type Queue = BTreeMap<u64, Arc<Notify>>;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// A callback waits for the word on a task that was not asked about before, or the application
    /// asks.
    First,
    /// Nobody waits.
    Poll,
    /// A callback waits for the word on a task that was asked about before.
    Again,
}

impl Lane {
    const ALL: [Self; 3] = [Self::First, Self::Poll, Self::Again];

    /// Of eight turns five are for first questions, two for polls and one for those asked again. A
    /// turn that nobody of its lane wants is the next lane's.
    const TURNS: [Self; 8] = [
        Self::First,
        Self::Poll,
        Self::First,
        Self::Again,
        Self::First,
        Self::Poll,
        Self::First,
        Self::First,
    ];
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

/// Longer than anything takes, and short enough that no time overflows.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl Rate {
    /// At most `requests` in each `span`.
    pub(super) fn new(requests: u32, span: Duration) -> Self {
        Self {
            interval: span.min(YEAR) / requests.max(1),
            state: Mutex::new(State {
                last: None,
                turns: 0,
                lanes: Default::default(),
                entered: 0,
                hold: Hold {
                    until: None,
                    next: Hold::FIRST,
                },
            }),
        }
    }

    /// Completes when it is the caller's turn. Cancel safe: whoever gives up costs nothing.
    pub(super) async fn turn(&self, lane: Lane) {
        let waiting = Waiting::enter(self, lane);
        loop {
            let next = waiting.look();
            match next {
                Next::Now => return,
                Next::At(due) => drop(by(due, waiting.woken.notified()).await),
                Next::Others => waiting.woken.notified().await,
            }
        }
    }

    /// Holds everybody back and says for how long: as the provider wished, or twice as long as
    /// the last time. Several refusals of one burst count as one.
    pub(super) fn back_off(&self, wish: Option<Duration>) -> Duration {
        let hold = &mut self.state().hold;
        let now = Instant::now();
        let held = hold.until.filter(|until| *until > now && wish.is_none());
        let until = held.unwrap_or_else(|| now + hold.pause(wish));
        hold.until = hold.until.max(Some(until));
        until - now
    }

    /// The provider answers again.
    pub(super) fn recover(&self) {
        self.state().hold.next = Hold::FIRST;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

enum Next {
    Now,
    At(Instant),
    /// Somebody else is next.
    Others,
}

impl State {
    /// Who is let through next.
    fn next(&self) -> Option<(Lane, u64)> {
        let turn = Lane::TURNS.get(self.turns % Lane::TURNS.len()).copied();
        let order = turn.into_iter().chain(Lane::ALL);
        order
            .filter_map(|lane| Some((lane, *self.lane(lane)?.first_key_value()?.0)))
            .next()
    }

    fn lane(&self, lane: Lane) -> Option<&Queue> {
        self.lanes.get(lane as usize)
    }

    fn due(&self, interval: Duration) -> Option<Instant> {
        self.last.map(|last| last + interval).max(self.hold.until)
    }

    fn leave(&mut self, lane: Lane, place: u64) {
        if let Some(lane) = self.lanes.get_mut(lane as usize) {
            lane.remove(&place);
        }
        let next = self.next();
        let next = next.and_then(|(lane, place)| self.lane(lane)?.get(&place));
        if let Some(next) = next {
            next.notify_one();
        }
    }
}

/// Somebody who waits for a turn. Dropping it leaves the lane.
struct Waiting<'a> {
    rate: &'a Rate,
    lane: Lane,
    place: u64,
    woken: Arc<Notify>,
}

impl<'a> Waiting<'a> {
    fn enter(rate: &'a Rate, lane: Lane) -> Self {
        let woken = Arc::new(Notify::new());
        let mut state = rate.state();
        state.entered += 1;
        let place = state.entered;
        if let Some(lane) = state.lanes.get_mut(lane as usize) {
            lane.insert(place, Arc::clone(&woken));
        }
        drop(state);
        Self {
            rate,
            lane,
            place,
            woken,
        }
    }

    fn look(&self) -> Next {
        let mut state = self.rate.state();
        if state.next() != Some((self.lane, self.place)) {
            return Next::Others;
        }
        let now = Instant::now();
        match state.due(self.rate.interval).filter(|due| *due > now) {
            Some(due) => Next::At(due),
            None => {
                state.last = Some(now);
                state.turns = state.turns.wrapping_add(1);
                Next::Now
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.rate.state().leave(self.lane, self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_eight_turns_five_are_first_questions_two_polls_and_one_is_asked_again() {
        let rate = Arc::new(Rate::new(10, Duration::from_secs(1)));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut all = tokio::task::JoinSet::new();
        for lane in Lane::ALL.repeat(40) {
            let (rate, order) = (Arc::clone(&rate), Arc::clone(&order));
            all.spawn(async move {
                rate.turn(lane).await;
                order.lock().unwrap().push(lane);
            });
        }
        all.join_all().await;
        let order = order.lock().unwrap();
        let count = |lane| order[..64].iter().filter(|it| **it == lane).count();
        assert_eq!(Lane::ALL.map(count), [40, 16, 8]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_is_alone_has_every_turn() {
        let rate = Rate::new(10, Duration::from_secs(1));
        for lane in Lane::ALL {
            let began = Instant::now();
            for _ in 0..20 {
                rate.turn(lane).await;
            }
            assert!(began.elapsed() <= Duration::from_millis(2_010), "{lane:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_wakes_the_next() {
        let rate = Rate::new(1, Duration::from_secs(1));
        rate.turn(Lane::First).await;
        let (began, half) = (Instant::now(), Duration::from_millis(500));
        let impatient = tokio::time::timeout(half, rate.turn(Lane::First));
        let (given_up, ()) = tokio::join!(impatient, rate.turn(Lane::Again));
        assert!(given_up.is_err());
        assert!(began.elapsed() <= Duration::from_millis(1_010));
    }
}
