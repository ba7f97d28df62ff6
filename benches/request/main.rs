//! What a callback costs: the layer beside handlers written by hand, published peers, and the least
//! that any such receiver has to do.
//!
//! ```sh
//! cargo bench -p benches --bench request -- --table        # times
//! cargo bench -p benches --bench request -- --table --plot # and as pictures, in benches/plots
//! cargo bench -p benches --bench request -- --hostile      # what anybody can send, and nothing else
//! cargo bench -p benches --bench request -- --counts       # instructions; needs valgrind, objdump
//! cargo bench -p benches --bench request -- --instructions # fails beyond a bound; tests/campaign.sh
//! cargo bench -p benches --bench request -- --gate         # fails unless the layer is the cheaper one
//! cargo bench -p benches --bench request                   # criterion, then the table
//! ```
//!
//! Times are of the thread's processor, and overhead: each variant less its own bare inner service,
//! both measured in turns, the least of the rounds of a run. Ratios are of one run; the table has the median of five runs, the
//! least and the most. Read those, not nanoseconds. `--once NAME COUNT` sends some requests through
//! one variant and nothing else, `--once-hostile KIND COUNT` some hostile bodies.

mod by_hand;
mod counts;
mod floor;
mod hostile;
mod measure;
mod mounted;
mod peers;
mod plot;
mod straight;
mod table;
mod template;
mod variant;

use std::time::Duration;

use criterion::Criterion;

use self::{
    measure::Measured,
    variant::{Variant, variants},
};

fn criterion(variants: &[Variant]) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut group = criterion.benchmark_group("request");
    for variant in variants {
        let templates = (variant.templates)(variant.count);
        group.bench_function(variant.name, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut took = Duration::ZERO;
                let mut left = usize::try_from(iterations).unwrap_or(usize::MAX);
                while left > 0 {
                    let count = left.min(templates.len());
                    took += (variant.run)(&templates[..count]);
                    left -= count;
                }
                took
            });
        });
    }
    group.finish();
}

fn once(variants: &[Variant], name: &str, count: usize) {
    let variant = variants.iter().find(|variant| variant.name == name);
    let variant = variant.unwrap_or_else(|| panic!("no variant is named {name}"));
    let templates = (variant.templates)(count);
    (variant.run)(&templates);
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _inside = runtime.enter();
    let arguments: Vec<_> = std::env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let variants = variants();
    if let Some(at) = arguments.iter().position(|it| it == "--once") {
        let count = arguments[at + 2].parse().expect("a count");
        return once(&variants, &arguments[at + 1], count);
    }
    if let Some(at) = arguments.iter().position(|it| it == "--once-hostile") {
        let count = arguments[at + 2].parse().expect("a count");
        return hostile::once(&arguments[at + 1], count);
    }
    if has("--counts") {
        counts::print(&variants);
        counts::print_hostile();
        return;
    }
    if has("--instructions") {
        std::process::exit(i32::from(!counts::is_within_bound(variants)));
    }
    if has("--hostile") {
        let accepted = variant::of_tower(variants);
        return hostile::print(&hostile::measured(&Measured::of(&accepted)));
    }
    let wants_table = has("--table") || has("--gate") || has("--plot");
    if !wants_table {
        criterion(&variants);
    }
    // `cargo test --benches` only wants to see that it runs.
    if has("--test") || has("--profile-time") {
        return;
    }
    let measured = Measured::of(&variants);
    table::print(&measured);
    let hostile = hostile::measured(&measured);
    hostile::print(&hostile);
    if has("--plot") {
        plot::draw(&measured, &hostile);
    }
    if has("--gate") && !table::is_cheaper(&measured) {
        std::process::exit(1);
    }
}
