//! A drain that ends while requests come and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use shuttle::{future::block_on, thread};

use crate::drain::Drain;

/// `requests` come while somebody ends the drain, and others wait to be told. One that is not woken
/// waits for ever, which the scheduler reports as a deadlock.
///
/// To be called where a Tokio runtime is entered. Its timers stand still.
///
/// # Panics
///
/// When the end is reached while a handler runs, or one starts after it.
pub fn end(requests: usize) {
    let drain = Drain::new();
    let world = Arc::new(World::default());
    let mut threads: Vec<_> = (0..requests)
        .map(|_| {
            let (drain, world) = (drain.clone(), Arc::clone(&world));
            thread::spawn(move || world.request(&drain))
        })
        .collect();
    let drained = drain.clone();
    threads.push(thread::spawn(move || block_on(drained.closed())));
    let drained = drain.clone();
    threads.push(thread::spawn(move || block_on(drained.ending())));

    block_on(drain.finish(Duration::MAX));
    assert_eq!(world.running.load(SeqCst), 0, "a handler still runs");
    let started = world.started.load(SeqCst);
    for thread in threads {
        thread.join().expect("nobody panics");
    }
    assert_eq!(
        world.started.load(SeqCst),
        started,
        "one started after the end"
    );
    assert_eq!(drain.active(), 0);
}

#[derive(Default)]
struct World {
    running: AtomicUsize,
    started: AtomicUsize,
}

impl World {
    /// The looks at the drain that a request takes, in their order.
    fn request(&self, drain: &Drain) {
        if drain.is_closed() {
            return;
        }
        drain.count_in();
        if !drain.is_ending() {
            self.started.fetch_add(1, SeqCst);
            self.running.fetch_add(1, SeqCst);
            thread::yield_now();
            self.running.fetch_sub(1, SeqCst);
        }
        drain.count_out();
    }
}
