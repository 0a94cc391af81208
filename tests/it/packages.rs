//! What is packed tells of the program that it holds: versions, tools, addresses.

use std::fs;

use mailbell::mcp::published_tools;
use serde_json::{Value, json};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const DESCRIPTION: &str = env!("CARGO_PKG_DESCRIPTION");

fn packaging(file: &str) -> String {
    format!("{}/packaging/{file}", env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(packaging(file)).unwrap()).unwrap()
}

/// The manifest's text with its list of tools, its version and its description made anew.
fn made_anew(manifest: &str) -> String {
    let tools: Vec<_> = published_tools()
        .iter()
        .map(|tool| format!(r#"    {{ "name": {}, "description": {} }}"#, json!(tool.name), json!(tool.title)))
        .collect();
    let (before, after) = manifest.split_once("\"tools\": [\n").expect("a list of tools");
    let (_, after) = after.split_once("  ]").expect("its end");
    let mut made = format!("{before}\"tools\": [\n{}\n  ]{after}", tools.join(",\n"));
    for (key, value) in [("version", VERSION), ("description", DESCRIPTION)] {
        let line =
            made.lines().find(|line| line.starts_with(&format!("  \"{key}\":"))).expect("a line for it").to_owned();
        made = made.replacen(&line, &format!("  \"{key}\": {},", json!(value)), 1);
    }
    made
}

#[test]
fn the_bundle_names_the_tools_that_there_are() {
    let path = packaging("mcpb/manifest.json");
    let kept = fs::read_to_string(&path).unwrap();
    let made = made_anew(&kept);
    if std::env::var_os("MAILBELL_WRITE_DOCS").is_some() {
        fs::write(path, made).unwrap();
        return;
    }
    assert!(kept == made, "run this test with MAILBELL_WRITE_DOCS=1 and commit what it writes");
}

#[test]
fn the_registry_s_entry_keeps_its_rules_and_is_of_this_version() {
    let entry = read("mcp-registry/server.json");
    let rules = jsonschema::validator_for(&read("mcp-registry/rules.json")).unwrap();
    let broken: Vec<_> = rules.iter_errors(&entry).map(|error| error.to_string()).collect();
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!(entry["version"], VERSION);
    assert_eq!(entry["description"], DESCRIPTION);
    let identifier = entry["packages"][0]["identifier"].as_str().unwrap();
    assert!(identifier.contains(&format!("/v{VERSION}/mailbell-{VERSION}-")), "{identifier}");
    // The rules are rules: what breaks one is refused.
    for (key, wrong) in [("name", json!("mailbell")), ("description", json!("x".repeat(101))), ("packages", json!([]))]
    {
        let mut entry = entry.clone();
        entry[key] = wrong;
        assert!(!rules.is_valid(&entry), "{key}");
    }
}
