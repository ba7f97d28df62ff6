//! Every public item, and every foreign type in it, is in a list: who changes the list says so.
//!
//! ```sh
//! UPDATE=1 cargo test -p api    # writes both lists anew
//! ```

use std::{collections::BTreeSet, env, ffi::OsStr, fs, path::Path, process::Command};

use public_api::{Builder, PublicApi};

/// Whose types are foreign to nobody.
const OURS: [&str; 4] = ["suno_callback", "core", "alloc", "std"];

/// What the compiler implements and nobody looks at.
const AUTO: [&str; 4] = ["Freeze", "Unpin", "UnwindSafe", "RefUnwindSafe"];

#[test]
fn what_is_public_and_the_foreign_types_in_it_are_in_the_lists() {
    let items = items();
    let foreign = items.iter().flat_map(|item| foreign(item)).map(Into::into);
    is_listed("foreign.txt", foreign.collect());
    let items = items.into_iter().filter(|item| !is_auto(item));
    is_listed("public.txt", items.collect());
}

fn is_listed(list: &str, now: BTreeSet<String>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(list);
    if env::var("UPDATE").as_deref() == Ok("1") {
        let lines: Vec<_> = now.into_iter().collect();
        fs::write(file, lines.join("\n") + "\n").unwrap();
        return;
    }
    let listed = fs::read_to_string(file).unwrap();
    let listed: BTreeSet<String> = listed.lines().map(Into::into).collect();
    let gone: Vec<_> = listed.difference(&now).collect();
    let new: Vec<_> = now.difference(&listed).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "{list} says otherwise: gone {gone:#?}, new {new:#?}; `UPDATE=1 cargo test -p api` writes it"
    );
}

fn is_auto(item: &str) -> bool {
    let implemented = item
        .strip_prefix("impl")
        .and_then(|item| item.split(" for ").next());
    implemented.is_some_and(|name| AUTO.iter().any(|auto| name.ends_with(&format!("::{auto}"))))
}

/// The types and traits in `item` that are of another crate.
fn foreign(item: &str) -> impl Iterator<Item = &str> {
    let words = item.split(|it: char| !it.is_alphanumeric() && !"_:".contains(it));
    words.filter(|word| match word.rsplit_once("::") {
        Some((place, name)) => {
            let of = place.split("::").next().unwrap_or_default();
            let is_type = name.starts_with(char::is_uppercase);
            is_type
                && !place.contains(char::is_uppercase)
                && !place.is_empty()
                && !OURS.contains(&of)
        }
        None => false,
    })
}

/// What cargo says to a test about its package. A build script that looks at it would run again, and
/// with the next build once more, and then all that depends on it is built anew.
fn is_of_this_package(variable: &OsStr) -> bool {
    let variable = variable.to_string_lossy();
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

/// Of the library with all its features.
fn items() -> BTreeSet<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut rustdoc = Command::new(env!("CARGO"));
    rustdoc.current_dir(here.join("../.."));
    rustdoc.args([
        "rustdoc",
        "--locked",
        "--quiet",
        "--lib",
        "--all-features",
        "--",
    ]);
    rustdoc.args(["-Z", "unstable-options", "--output-format", "json"]);
    rustdoc.env("RUSTDOC", here.join("rustdoc.sh"));
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_this_package(name)) {
        rustdoc.env_remove(name);
    }
    let done = rustdoc.output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let target = env::var_os("CARGO_TARGET_DIR").map_or(here.join("../../target"), Into::into);
    let json = target.join("doc/suno_callback.json");
    let api: PublicApi = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .build()
        .expect(
            "rustdoc's JSON has a format of its own in each release of Rust; tests/api/Cargo.toml \
             names the version of public-api that reads the one of 1.95",
        );
    api.items().map(ToString::to_string).collect()
}
