use std::process::Command;

#[test]
fn it_keeps_every_law_and_remembers_over_a_restart() {
    let output = Command::new(env!("CARGO_BIN_EXE_own-store")).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{error}");
}
