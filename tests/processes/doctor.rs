//! What `doctor` says of a house that stands, and of one with something to look at.

use crate::support::{run, run_badly, serve};

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_house_is_all_green() {
    let home = tempfile::tempdir().expect("a directory");
    let (_house, _) = serve(home.path(), &[]).await;
    // It exits 0, or this fails.
    let said = run(home.path(), &["doctor"], "").await;
    let ill: Vec<&str> = said.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert!(ill.is_empty(), "{ill:#?}");
    for check in ["bell.db", "mail.db", "audit", "keeper", "mcp", "hooks", "api", "smtp", "lmtp", "console"] {
        assert!(said.lines().any(|line| line.split_whitespace().nth(1) == Some(check)), "{check} is not in\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_thing_to_look_at_is_one_warning() {
    let home = tempfile::tempdir().expect("a directory");
    serve(home.path(), &[]).await.0.kill().await;
    let (code, said) = run_badly(home.path(), &["doctor"]).await;
    assert_eq!((code, said.trim()), (3, "mailbell: 1 warning; each line says what to do"));
}
