//! The rooms of `src` and the directions between them: the table in ARCHITECTURE.md is what the
//! code does, arrow for arrow.
//!
//! ```sh
//! cargo test --test rooms
//! ```

mod source;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    source::{Source, sources},
    table::{Room, rooms},
};

/// Files of `src/product` whose names are words of everybody.
const COMMON: [&str; 4] = ["any", "event", "mod", "task"];

#[test]
fn every_room_has_its_line_in_the_table() {
    let written: BTreeSet<_> = rooms().into_iter().map(|room| room.name).collect();
    let there: BTreeSet<_> = sources().into_iter().map(|source| source.room).collect();
    assert_eq!(written, there);
}

/// So there can be no circle through two rooms.
#[test]
fn every_arrow_leads_to_a_room_further_up_in_the_table() {
    let mut above = BTreeSet::new();
    for room in rooms() {
        let astray: Vec<_> = room.uses.difference(&above).collect();
        assert!(astray.is_empty(), "{} uses {astray:?}", room.name);
        assert!(above.insert(room.name.clone()), "{} twice", room.name);
    }
}

#[test]
fn every_room_uses_what_the_table_says_and_nothing_else() {
    let rooms = rooms();
    let names: BTreeSet<_> = rooms.iter().map(|room| room.name.as_str()).collect();
    let mut used: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for source in sources() {
        for name in source.imports() {
            // What is no room stands in the root of the crate.
            let to = if names.contains(&*name) { &name } else { "lib" };
            if to != source.room {
                let arrows = used.entry(source.room.clone()).or_default();
                arrows.insert(to.into(), source.path.clone());
            }
        }
    }
    let wrong: Vec<_> = rooms
        .iter()
        // The root shows what the rooms have, and that is all of it.
        .filter(|room| room.name != "lib")
        .filter_map(|room| wrong_arrows(room, used.get(&room.name)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn wrong_arrows(room: &Room, used: Option<&BTreeMap<String, String>>) -> Option<String> {
    let used = used.cloned().unwrap_or_default();
    let found: BTreeSet<_> = used.keys().cloned().collect();
    let unwritten: Vec<_> = used
        .iter()
        .filter(|(to, _)| !room.uses.contains(*to))
        .map(|(to, path)| format!("{to} (in {path})"))
        .collect();
    let unused: Vec<_> = room.uses.difference(&found).collect();
    (found != room.uses).then(|| {
        let name = &room.name;
        format!("{name}: not in the table {unwritten:?}, only in the table {unused:?}")
    })
}

#[test]
fn the_core_names_no_product() {
    let products = products();
    assert!(products.contains("voice"), "{products:?}");
    let core: BTreeSet<_> = rooms()
        .into_iter()
        .filter(|room| room.is_core)
        .map(|room| room.name)
        .collect();
    assert!(core.contains("request") && !core.contains("product"));
    let named: Vec<_> = sources()
        .iter()
        .filter(|source| core.contains(&source.room))
        .flat_map(|source| {
            let words = source.words();
            let named = words.filter(|words| products.iter().any(|it| speaks_of(words, it)));
            named.map(|words| format!("{}: {words}", source.path))
        })
        .collect();
    assert!(named.is_empty(), "{named:#?}");
}

/// Whether `words`, in snake case, has a product's name among them, in the singular or the plural.
fn speaks_of(words: &str, product: &str) -> bool {
    let words = format!("_{words}_");
    let singular = product.strip_suffix('s').unwrap_or(product);
    [format!("_{singular}_"), format!("_{singular}s_")]
        .iter()
        .any(|name| words.contains(name))
}

/// Every file and folder of the room of products is one.
fn products() -> BTreeSet<String> {
    let of_products = |source: &Source| source.room == "product";
    sources()
        .into_iter()
        .filter(of_products)
        .filter_map(|source| source.module.get(1).cloned())
        .filter(|name| !COMMON.contains(&name.as_str()))
        .collect()
}
