//! The floor plan of `src/lib.rs`, held: nothing imports from a floor above its own, nor from a sibling, and each outside
//! crate has one home.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{UseTree, visit::Visit};

/// The lowest first. A module may use those on floors below its own, and itself.
const FLOORS: &[&[&str]] = &[
    &["domain"],
    &["ids", "signing", "wake", "config", "measures", "reach", "tls"],
    &["store"],
    &["bell::sources", "mail::reports"],
    &["bell", "mail"],
    &["mcp"],
    &["http"],
    &["app", "telemetry"],
    &["cli"],
];

/// Outside crates that are at home in some modules and used nowhere else.
const HOMES: &[(&str, &[&str])] = &[
    ("axum", &["http"]),
    ("aide", &["http::v1"]),
    ("maud", &["http::console"]),
    ("plotters", &["http::console::charts"]),
    ("hyper_util", &["http", "reach", "mail::webhooks::egress"]),
    ("hyper", &["mail::webhooks::egress"]),
    ("hyper_rustls", &["mail::webhooks::egress"]),
    ("http_body_util", &["mail::webhooks::egress"]),
    ("tower_service", &["reach", "mail::webhooks::egress"]),
    ("rmcp", &["mcp", "cli::demo"]),
    ("sqlx", &["store"]),
    ("deadpool", &["store"]),
    ("reqwest", &["reach", "bell::fetch", "bell::upstream", "mcp::bridge"]),
    // `tls` names the module of rustls.
    ("ring", &["signing", "bell::sources", "tls"]),
    ("multer", &["bell::sources"]),
    ("x509_parser", &["bell::sources"]),
    ("anstream", &["cli"]),
    ("anstyle", &["cli"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("indicatif", &["cli"]),
    ("sd_notify", &["cli"]),
    ("prometheus_client", &["measures"]),
    ("jsonc_parser", &["cli::client_config"]),
    ("toml_edit", &["cli::client_config"]),
    ("schemars", &["mcp", "config", "http::v1"]),
    ("figment", &["config"]),
    ("smtp_proto", &["mail::smtp"]),
    ("idna", &["domain"]),
    ("psl", &["mail::domains"]),
    ("lettre", &["mail::relay"]),
    ("tokio_rustls", &["bell::imap", "mail::relay"]),
    ("rustls_platform_verifier", &["tls"]),
    ("async_imap", &["bell::imap"]),
    ("mail_auth", &["mail::verdict"]),
    ("mail_parser", &["mail", "bell::sources"]),
    ("mail_builder", &["mail"]),
    ("pulldown_cmark", &["mail::markdown"]),
    ("regex", &["mail::reports"]),
    ("toml", &["mail::reports"]),
    ("html2text", &["mail::html"]),
    ("html5gum", &["mail::html"]),
    ("tracing_subscriber", &["telemetry"]),
    ("backon", &["bell::hosted", "bell::upstream", "mail::webhooks", "mcp::bridge"]),
];

#[test]
fn nothing_imports_from_above_or_beside() {
    let mut wrong = Vec::new();
    for_each_file(|file, module, paths| {
        let own = room(module);
        for path in paths {
            let Some(inside) = path.strip_prefix("crate::") else { continue };
            let other = room(inside);
            let allowed = other == own || floor(&other) < floor(&own);
            if !allowed {
                wrong.push(format!("{} ({own}) uses crate::{inside}", file.display()));
            }
        }
    });
    assert!(wrong.is_empty(), "imports against the floor plan:\n{}", wrong.join("\n"));
}

#[test]
fn every_outside_crate_stays_at_home() {
    let mut wrong = Vec::new();
    for_each_file(|file, module, paths| {
        for path in paths {
            let name = path.split("::").next().unwrap_or_default();
            let Some((_, homes)) = HOMES.iter().find(|(outside, _)| *outside == name) else { continue };
            let at_home = homes.iter().any(|home| module == *home || module.starts_with(&format!("{home}::")));
            if !at_home {
                wrong.push(format!("{} uses {path}, at home in {}", file.display(), homes.join(" and ")));
            }
        }
    });
    assert!(wrong.is_empty(), "outside crates away from home:\n{}", wrong.join("\n"));
}

#[test]
fn only_ascending_floors_exist() {
    let tops: BTreeSet<String> =
        sources().iter().filter_map(|file| module_of(file)).map(|module| room(&module)).collect();
    let known: BTreeSet<String> = FLOORS.concat().into_iter().map(str::to_owned).collect();
    let strangers: Vec<_> = tops.difference(&known).collect();
    assert!(strangers.is_empty(), "modules that stand on no floor: {strangers:?}");
}

/// What makes something that a model reads. Outside of `mcp::present` they would take any text, so they stand in it alone;
/// and what may be shown is listed there. The bridge passes on what it gets and tells of itself.
const MAKES_WHAT_A_MODEL_READS: &[(&str, &[&str])] = &[
    ("CallToolResult::", &["mcp::present"]),
    ("ContentBlock", &["mcp::present"]),
    ("ErrorData::", &["mcp::present", "mcp::bridge"]),
    ("ResourceContents", &["mcp::present"]),
    ("PromptMessage", &["mcp::present"]),
    ("impl Shown for", &["mcp::present::shown"]),
    ("Shown for $", &["mcp::present::shown"]),
    ("impl Spoken for", &["mcp::present::sentence"]),
    ("Sentence::made", &["mcp::present::sentence"]),
    ("Sentence::vouched_for", &["mcp::failure"]),
];

#[test]
fn what_a_model_reads_is_made_in_one_place() {
    let mut wrong = Vec::new();
    for file in sources() {
        let Some(module) = module_of(&file).filter(|module| module.starts_with("mcp::")) else { continue };
        let text = fs::read_to_string(&file).expect("a source file");
        for (maker, homes) in MAKES_WHAT_A_MODEL_READS {
            let at_home = homes.iter().any(|home| module == *home || module.starts_with(&format!("{home}::")));
            if text.contains(maker) && !at_home {
                wrong.push(format!("{} uses {maker}, at home in {}", file.display(), homes.join(" and ")));
            }
        }
    }
    assert!(wrong.is_empty(), "results made past the fence:\n{}", wrong.join("\n"));
}

/// What the console shows is escaped where it is put into a page. Only charts are put in as they are.
#[test]
fn what_a_browser_is_shown_is_escaped() {
    for file in sources() {
        let Some(module) = module_of(&file).filter(|module| module.starts_with("http::console")) else { continue };
        let text = fs::read_to_string(&file).expect("a source file");
        assert!(
            module == "http::console::charts" || !text.contains("PreEscaped"),
            "{} puts markup in as it is",
            file.display()
        );
    }
    let script = fs::read_to_string(src().join("http/console/console.js")).expect("the script");
    for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("] {
        assert!(!script.contains(sink), "the script uses {sink}, which makes markup or code of a text");
    }
}

/// Why: the head of `store::sqlite`.
#[test]
fn no_limit_has_its_statement_compiled_at_each_run() {
    for file in sources() {
        if !module_of(&file).is_some_and(|module| module.starts_with("store")) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source file");
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let bare = ["LIMIT ?", "LIMIT $", "LIMIT \")"].into_iter().find(|bare| line.contains(bare));
            assert!(bare.is_none(), "{}:{}: write `LIMIT +?`: {line}", file.display(), number + 1);
        }
    }
}

/// The words of rule one, each checked by making the mistake.
#[test]
fn the_rule_itself_can_fail() {
    let paths =
        paths_in("use crate::{store::{log::EventLog, bell}, domain as d}; fn f() { crate::mcp::x!(crate::cli::y) }");
    let expected =
        ["crate::cli::y", "crate::domain", "crate::mcp::x", "crate::store::bell", "crate::store::log::EventLog"];
    assert_eq!(paths.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert!(floor("store") > floor("domain"));
    assert_eq!(room("bell::sources::multimail"), "bell::sources");
    assert_eq!(room("bell::intake"), "bell");
}

fn floor(room: &str) -> usize {
    FLOORS.iter().position(|rooms| rooms.contains(&room)).unwrap_or_else(|| panic!("{room} stands on no floor"))
}

/// The room of a module path: its first two names where they are a room, or else its first.
fn room(path: &str) -> String {
    let mut names = path.split("::");
    let first = names.next().unwrap_or_default();
    let two = names.next().map(|second| format!("{first}::{second}"));
    two.filter(|two| FLOORS.concat().contains(&two.as_str())).unwrap_or_else(|| first.to_owned())
}

fn for_each_file(mut visit: impl FnMut(&Path, &str, &BTreeSet<String>)) {
    for file in sources() {
        let Some(module) = module_of(&file) else { continue };
        let text = fs::read_to_string(&file).expect("a source file");
        visit(&file, &module, &paths_in(&text));
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![src()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("a source directory") {
            let path = entry.expect("an entry").path();
            match path.extension() {
                None => open.push(path),
                Some(extension) if extension == "rs" => found.push(path),
                Some(_) => {}
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// `src/bell/intake.rs` is `bell::intake`; lib.rs and main.rs stand outside the floors.
fn module_of(file: &Path) -> Option<String> {
    let inside = file.strip_prefix(src()).expect("below src").with_extension("");
    let mut names: Vec<_> = inside.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    let module = names.join("::");
    (!matches!(module.as_str(), "lib" | "main")).then_some(module)
}

/// Every path in a file, those in `use` groups and in macros included, with `super` left as it is: it never leaves a room
/// upwards without passing `crate`'s child of the same name.
fn paths_in(text: &str) -> BTreeSet<String> {
    let file = syn::parse_file(text).expect("valid Rust");
    let mut paths = Paths::default();
    paths.visit_file(&file);
    paths.0
}

#[derive(Default)]
struct Paths(BTreeSet<String>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(String::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.0.insert(names.join("::"));
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        syn::visit::visit_macro(self, item);
    }

    fn visit_attribute(&mut self, item: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &item.meta {
            self.tokens(list.tokens.clone());
        }
        syn::visit::visit_attribute(self, item);
    }
}

impl Paths {
    fn tree(&mut self, before: String, tree: &UseTree) {
        let join = |name: &dyn std::fmt::Display| {
            if before.is_empty() { name.to_string() } else { format!("{before}::{name}") }
        };
        match tree {
            UseTree::Path(path) => self.tree(join(&path.ident), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before.clone(), tree)),
            UseTree::Name(name) if name.ident == "self" => drop(self.0.insert(before)),
            UseTree::Name(name) => drop(self.0.insert(join(&name.ident))),
            UseTree::Rename(rename) => drop(self.0.insert(join(&rename.ident))),
            UseTree::Glob(_) => drop(self.0.insert(before)),
        }
    }

    /// Macros are not parsed: take every run of `name::name` in their tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut run: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if colons == 2 => run.push(name.to_string()),
                TokenTree::Ident(name) => {
                    self.end(&mut run);
                    run.push(name.to_string());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                other => {
                    self.end(&mut run);
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
            colons = 0;
        }
        self.end(&mut run);
    }

    fn end(&mut self, run: &mut Vec<String>) {
        if run.len() > 1 {
            self.0.insert(run.join("::"));
        }
        run.clear();
    }
}
