//! `docs/providers.md` says what the code does.

use mailbell::bell::sources::manual;

#[test]
fn the_table_of_providers_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/providers.md");
    let made = manual::document();
    if std::env::var_os("MAILBELL_WRITE_DOCS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(kept == made, "run this test with MAILBELL_WRITE_DOCS=1 and commit what it writes");
}
