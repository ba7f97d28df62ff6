//! What is drawn is what its text says. `dot` is Debian's package `graphviz`, which `tests/servers.sh`
//! installs.

use std::process::Command;

#[test]
fn every_diagram_is_drawn_from_its_text() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut check = Command::new(format!("{root}/docs/diagrams/draw.sh"));
    let output = check.arg("--check").output();
    let output = output.expect("bash and dot, of Debian's graphviz");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
