//! The table of ARCHITECTURE.md.

use std::{collections::BTreeSet, fs};

/// A line of the table.
pub struct Room {
    pub name: String,
    /// Whether it may name no product.
    pub is_core: bool,
    pub uses: BTreeSet<String>,
}

/// The lines of the table, from top to bottom.
pub fn rooms() -> Vec<Room> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md");
    let page = fs::read_to_string(path).expect("a page");
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with("| room |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(room).collect()
}

fn room(row: &str) -> Room {
    let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [name, core, uses, _] = cells[..] else {
        panic!("four cells: {row}");
    };
    Room {
        name: name.trim_matches('`').into(),
        is_core: core == "core",
        uses: uses.split_whitespace().map(String::from).collect(),
    }
}
