//! Requests for one slot that meet in one process.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
};

use shuttle::{future::block_on, thread};

use crate::{
    config::Limits,
    store::{Record, SlotKey},
    twins::{Entry, Follower, Leader, SlotEnd, Twins},
};

/// What the one who leads does with the slot.
#[derive(Clone, Copy, Debug)]
pub enum Leads {
    /// The store has the record.
    ToDone,
    /// The handler failed, or the request was dropped: the next one tries, and is done.
    ToFree,
    /// The event was handled, the commit comes later.
    ToHandled,
}

/// What somebody does who finds another in the lead.
#[derive(Clone, Copy, Debug)]
pub enum Follows {
    ToTheEnd,
    /// Polled once, and dropped: its peer went away.
    AndLeaves,
}

/// Each of `twins` comes for the same slot on a thread of its own and stays until it knows how the
/// slot ended. One that is not woken waits for ever, which the scheduler reports as a deadlock.
///
/// # Panics
///
/// When two lead at once, the event is handled twice, or something is left behind.
pub fn meet(leads: Leads, twins: &[Follows]) {
    let table = Arc::new(Twins::new(Limits {
        waiters: twins.len(),
        waiters_per_slot: twins.len(),
        ..Limits::default()
    }));
    let world = Arc::new(World::default());
    let threads: Vec<_> = twins
        .iter()
        .map(|follows| {
            let (table, world, follows) = (Arc::clone(&table), Arc::clone(&world), *follows);
            thread::spawn(move || block_on(come(&table, &world, leads, follows)))
        })
        .collect();
    for thread in threads {
        thread.join().expect("no twin panics");
    }
    world.assert_handled_once(twins);
    assert_nothing_is_left(&table, twins.len());
}

#[derive(Default)]
struct World {
    leading: AtomicUsize,
    led: AtomicUsize,
    handled: AtomicUsize,
}

async fn come(table: &Arc<Twins>, world: &World, leads: Leads, follows: Follows) {
    loop {
        match table.enter(slot()) {
            Entry::Lead(leader) => return world.lead(leader, leads),
            Entry::Handled(record) => return assert_eq!(record, Record::EMPTY),
            Entry::Full => panic!("there is room for every twin"),
            Entry::Follow(follower) => match follow(follower, follows).await {
                Some(SlotEnd::Free) => {}
                Some(SlotEnd::Done(record)) => return assert_eq!(record, Record::EMPTY),
                None => return,
            },
        }
    }
}

async fn follow(follower: Follower, follows: Follows) -> Option<SlotEnd> {
    let mut end = pin!(follower.slot_end());
    match follows {
        Follows::ToTheEnd => Some(end.await),
        Follows::AndLeaves => {
            poll_fn(|cx| match end.as_mut().poll(cx) {
                Poll::Ready(end) => Poll::Ready(Some(end)),
                Poll::Pending => Poll::Ready(None),
            })
            .await
        }
    }
}

impl World {
    fn lead(&self, leader: Leader, leads: Leads) {
        assert_eq!(self.leading.fetch_add(1, SeqCst), 0, "two lead at once");
        let is_first = self.led.fetch_add(1, SeqCst) == 0;
        thread::yield_now();
        self.leading.fetch_sub(1, SeqCst);
        match leads {
            Leads::ToFree if is_first => drop(leader),
            Leads::ToDone | Leads::ToFree => {
                self.handled.fetch_add(1, SeqCst);
                leader.done(Record::EMPTY);
            }
            Leads::ToHandled => {
                self.handled.fetch_add(1, SeqCst);
                let quota = leader.handled(Record::EMPTY);
                assert!(quota.is_some(), "one deferred commit is within the limit");
                leader.done(Record::EMPTY);
            }
        }
    }

    /// No store stands behind this table: whoever comes after the end leads anew, as a duplicate
    /// that the store would know. So each who led was alone, and nobody who waited led a slot that
    /// was done.
    fn assert_handled_once(&self, twins: &[Follows]) {
        let (led, handled) = (self.led.load(SeqCst), self.handled.load(SeqCst));
        assert!((1..=twins.len()).contains(&led), "{led} led");
        assert!(
            handled <= led && led <= handled + 1,
            "{led} led, {handled} handled"
        );
    }
}

/// The slot is free, and everybody who may wait could wait again.
fn assert_nothing_is_left(table: &Arc<Twins>, room: usize) {
    let Entry::Lead(leader) = table.enter(slot()) else {
        panic!("the slot was left taken");
    };
    let followers: Vec<_> = (0..room)
        .map(|_| match table.enter(slot()) {
            Entry::Follow(follower) => follower,
            _ => panic!("a quota was left taken"),
        })
        .collect();
    assert!(matches!(table.enter(slot()), Entry::Full));
    drop((leader, followers));
}

fn slot() -> SlotKey {
    SlotKey::from([7; 32])
}
