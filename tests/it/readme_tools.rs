//! The table of tools in README.md is that of the code.

#[test]
fn the_table_of_tools_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let made = mailbell::mcp::tool_table();
    let head = made.lines().next().unwrap();
    let readme = std::fs::read_to_string(path).unwrap();
    let start = readme.find(head).expect("the head of the table");
    let kept: String = readme[start..].split_inclusive('\n').take_while(|line| line.starts_with('|')).collect();
    if std::env::var_os("MAILBELL_WRITE_DOCS").is_some() {
        std::fs::write(path, readme.replacen(&kept, &made, 1)).unwrap();
        return;
    }
    assert!(kept == made, "run this test with MAILBELL_WRITE_DOCS=1 and commit what it writes");
}
