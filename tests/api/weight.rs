//! How many crates come with the library.

use std::{collections::BTreeSet, env, fs, path::Path, process::Command};

/// What a plain axum app has to build more, at most.
const MORE: usize = 18;

const PLAIN: &str = "axum = \"0.8\"\ntokio = { version = \"1\", features = [\"full\"] }\n";

#[test]
fn by_default_it_adds_at_most_eighteen_crates_to_a_plain_axum_app() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let ours = format!("{PLAIN}suno-callback = {{ path = {root:?} }}\n");
    let (plain, ours) = (crates_of(PLAIN), crates_of(&ours));
    assert!(plain.is_subset(&ours), "{plain:?} {ours:?}");
    let more: Vec<_> = ours.difference(&plain).collect();
    println!("{} crates more: {more:?}", more.len());
    assert!(more.len() <= MORE, "{} crates more: {more:?}", more.len());
}

/// What an app with these dependencies has to build, in the versions of the lock file.
fn crates_of(dependencies: &str) -> BTreeSet<String> {
    let app = env::temp_dir().join(format!("app-{}", std::process::id()));
    fs::create_dir_all(app.join("src")).unwrap();
    fs::write(app.join("src/main.rs"), "fn main() {}").unwrap();
    let package = "[package]\nname = \"app\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n";
    fs::write(app.join("Cargo.toml"), format!("{package}{dependencies}")).unwrap();
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    fs::copy(lock, app.join("Cargo.lock")).unwrap();
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(&app)
        .args(["tree", "--offline", "--edges", "normal,build"]);
    let tree = tree
        .args(["--prefix", "none", "--no-dedupe"])
        .output()
        .unwrap();
    fs::remove_dir_all(app).unwrap();
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates = tree.lines().filter_map(|line| line.split(" (").next());
    crates.map(Into::into).collect()
}
