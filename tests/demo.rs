//! The newcomer's first command ends well.

use std::process::Command;

#[test]
fn the_demo_shows_every_step() {
    let home = tempfile::tempdir().expect("a directory");
    let shown = Command::new(env!("CARGO_BIN_EXE_mailbell"))
        .arg("demo")
        .env("HOME", home.path())
        .env_remove("XDG_CONFIG_HOME")
        .output()
        .expect("mailbell starts");
    let said = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.success(), "{said}\n{}", String::from_utf8_lossy(&shown.stderr));
    assert!(said.contains("All 11 steps held"), "{said}");
}
