//! README.md names every tool, and `docs/reference` is where each is told in full.

#[test]
fn every_tool_is_named_in_the_readme() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    for tool in mailbell::mcp::published_tools() {
        assert!(readme.contains(&format!("`{}`", tool.name)), "README.md does not name {}", tool.name);
    }
}
