//! The pages under `docs/reference` are what the program says.

use std::{collections::BTreeSet, fs, path::Path};

use tokio::process::Command;

use crate::support::BINARY;

const PAGES: [&str; 7] = ["tools", "resources", "configuration", "command-line", "rest", "metrics", "exit-codes"];

#[tokio::test]
async fn the_reference_is_what_the_program_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    let mut stale = Vec::new();
    for page in PAGES {
        let output = Command::new(BINARY).args(["reference", page]).output().await.expect("ran");
        let said = String::from_utf8(output.stdout).expect("text");
        assert!(said.lines().count() > 5, "mailbell reference {page} says too little: {said}");
        let path = folder.join(page).with_extension("md");
        if std::env::var_os("MAILBELL_WRITE_DOCS").is_some() {
            fs::write(&path, &said).expect("written");
        }
        if fs::read_to_string(&path).unwrap_or_default() != said {
            stale.push(page);
        }
    }
    assert!(stale.is_empty(), "run this test with MAILBELL_WRITE_DOCS=1 and commit what it writes: {stale:?} are old");
    let kept: BTreeSet<_> =
        fs::read_dir(&folder).expect("there").map(|file| file.expect("there").file_name()).collect();
    let made: BTreeSet<_> = PAGES.iter().map(|page| format!("{page}.md").into()).collect();
    assert_eq!(kept, made, "docs/reference holds the generated pages and no others");
}
