//! The table of times.

use crate::{
    measure::{Measured, Spread},
    variant::{BY_HAND, BY_HAND_DUPLICATE, F0, IN_TOWER, LAYER, LAYER_DUPLICATE, STRAIGHT},
};

pub fn print(measured: &Measured) {
    println!("\noverhead over the bare service; median of five runs (least to most)\n");
    println!("| | ns | / by hand | / F0 |\n|---|---|---|---|");
    let named = measured.names.iter().copied();
    for name in named.filter(|name| !measured.is_bare(name)) {
        println!(
            "| {name} | {:.0} | {} | {} |",
            measured.nanoseconds(name),
            shown(measured.ratio(name, BY_HAND)),
            shown(measured.ratio(name, F0)),
        );
    }
    println!();
    for (what, name, of) in [
        ("accepted, at a route / by hand", LAYER, BY_HAND),
        (
            "duplicate, at a route / by hand",
            LAYER_DUPLICATE,
            BY_HAND_DUPLICATE,
        ),
        ("accepted, in tower / F0", IN_TOWER, F0),
        ("accepted, in tower / straight ahead", IN_TOWER, STRAIGHT),
        (
            "wrong signature / accepted, in tower",
            "refused: wrong signature",
            IN_TOWER,
        ),
        ("stale / accepted, in tower", "refused: stale", IN_TOWER),
    ] {
        println!("{what}: {}", shown(measured.ratio(name, of)));
    }
}

pub fn shown(spread: Spread) -> String {
    let Spread {
        median,
        least,
        most,
    } = spread;
    format!("{median:.2} ({least:.2} to {most:.2})")
}

/// Whether the layer through a router costs less than the handler by hand, in the median run.
pub fn is_cheaper(measured: &Measured) -> bool {
    measured.ratio(LAYER, BY_HAND).median < 1.0
}
