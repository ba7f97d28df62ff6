//! The whole table of outages in virtual time: how long the store is away, at which moment of an
//! event, in which way, while a twin waits at another replica.
//!
//! What is shown: no event is lost, and none is handled twice where the outage was shorter than the
//! lease less one operation. What a longer one does is printed.

use std::time::Duration;

use harness::{
    faulty::Faulty,
    ms,
    outages::{Fate, KINDS, MOMENTS, Outage, SLOW_BEAT, SLOW_MOMENTS, TWIN, Table},
};
use suno_callback::Times;
use tokio::runtime::Builder;

fn play(outage: Outage) -> Fate {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(outage.play(&Faulty::default(), "task"))
}

/// What became of `outages`, none of which may lose its event.
fn table(outages: Vec<Outage>) -> Table {
    let times = Times::default();
    let harmless = times.lease - times.store_operation;
    let mut table = Table::default();
    for outage in outages {
        let fate = play(outage);
        assert!(!fate.is_lost, "lost: {outage}");
        assert!(
            outage.away >= harmless || fate.runs == 1,
            "ran twice: {outage}"
        );
        table.add(&outage, &fate);
    }
    table
}

#[test]
fn no_outage_loses_an_event_and_none_that_is_shorter_than_the_lease_less_an_operation_runs_it_twice()
 {
    println!("{}", table(Outage::all()));
}

#[test]
fn that_holds_with_the_longest_heartbeat_too() {
    println!("{}", table(Outage::all_slow()));
}

/// The lease was almost a beat old when the store went away, so it ends before the store is back:
/// then it matters who asks first.
#[test]
fn a_holder_whose_lease_ended_in_the_outage_is_heard_before_a_twin_that_waits() {
    for kind in 0..KINDS.len() {
        for away in [ms(3550), ms(3700), ms(3850), ms(3990)] {
            for moment in [ms(1595), ms(3095)] {
                for twin in (0..30).map(|n| TWIN + ms(17 * n)) {
                    let outage = Outage {
                        kind,
                        moment,
                        away,
                        twin,
                        heartbeat: SLOW_BEAT,
                    };
                    let fate = play(outage);
                    assert_eq!((fate.is_lost, fate.runs), (false, 1), "{outage}");
                }
            }
        }
    }
}

/// To a replica that has not heard that the store was away, nobody seems to be late: the lease must
/// have outlived the outage, and the pause before its holder asks again.
#[test]
fn the_first_try_at_another_replica_during_or_after_an_outage_does_not_rob_the_holder() {
    let default = Times::default().heartbeat;
    let lengths = [ms(1000), ms(2500), ms(3250), ms(3500), ms(3750), ms(3990)];
    first_tries(default, MOMENTS, &lengths);
    // What is left of a lease that was renewed a beat before, less a quarter of an operation.
    first_tries(SLOW_BEAT, SLOW_MOMENTS, &[ms(2500), ms(3000), ms(3240)]);
}

fn first_tries(heartbeat: Duration, moments: [Duration; 20], lengths: &[Duration]) {
    // Around the end of the outage, and before.
    let before = (0..16)
        .map(|n| ms(67 * n))
        .chain((3..12).map(|n| ms(400 * n)));
    let before: Vec<_> = before.collect();
    for kind in 0..KINDS.len() {
        for away in lengths.iter().copied() {
            for moment in moments {
                let latest = moment + away + ms(300);
                for twin in before.iter().map(|it| latest.saturating_sub(*it)) {
                    let outage = Outage {
                        kind,
                        moment,
                        away,
                        twin: twin.max(TWIN),
                        heartbeat,
                    };
                    let fate = play(outage);
                    assert_eq!((fate.is_lost, fate.runs), (false, 1), "{outage}");
                }
            }
        }
    }
}
