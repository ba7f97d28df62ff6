//! Whoever waits is woken, in every order in which the threads of a process can meet.
//!
//! ```sh
//! cargo test -p interleavings
//! tests/campaign.sh interleavings --count 1000000
//! ```
//!
//! Two threads are tried in every order there is; more of them in orders at random. An order that
//! fails is printed by the scheduler, and `shuttle::replay` plays it again.

use harness::counts::INTERLEAVINGS;
use interleavings::{
    drained,
    twinned::{Follows, Leads, meet},
};

use Follows::{AndLeaves, ToTheEnd};

const LEADS: [Leads; 3] = [Leads::ToDone, Leads::ToFree, Leads::ToHandled];

#[test]
fn two_twins_know_the_end_in_every_order() {
    // With `ToHandled` there are 100,000 orders.
    for leads in [Leads::ToDone, Leads::ToFree] {
        for second in [ToTheEnd, AndLeaves] {
            shuttle::check_dfs(move || meet(leads, &[ToTheEnd, second]), None);
        }
    }
}

#[test]
fn many_twins_know_the_end_in_any_order() {
    let twins = [ToTheEnd, ToTheEnd, AndLeaves, ToTheEnd, AndLeaves];
    for leads in LEADS {
        shuttle::check_pct(move || meet(leads, &twins), INTERLEAVINGS.size(), 4);
        shuttle::check_random(move || meet(leads, &twins), INTERLEAVINGS.size());
    }
}

#[test]
fn a_drain_ends_behind_its_last_request_in_any_order() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    shuttle::check_pct(|| drained::end(3), INTERLEAVINGS.size(), 4);
    shuttle::check_random(|| drained::end(3), INTERLEAVINGS.size());
}
