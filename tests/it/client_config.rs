//! Each client's block is what that client reads, goes into its file beside everything else, and tells no token to git.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_mailbell");
const CLIENTS: [&str; 6] = ["claude-code", "claude-desktop", "vscode", "cursor", "codex", "gemini"];
const URL: &str = "https://mail.example.com/mcp";
const TOKEN: &str = "mb_mcp_0123456789abcdef";

/// Runs it as a user whose home, and whose directory, is `home`.
fn run(home: &Path, args: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("client-config").args(args).current_dir(home).env("HOME", home);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn done(home: &Path, args: &[&str], stdin: &str) -> String {
    let ran = run(home, args, stdin);
    assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn refused(home: &Path, args: &[&str], stdin: &str) -> String {
    let ran = run(home, args, stdin);
    assert!(!ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stdout));
    String::from_utf8(ran.stderr).unwrap()
}

/// The server that a block or a file describes, read by a parser of its format.
fn server(client: &str, text: &str) -> Value {
    let (whole, under): (Value, _) = match client {
        "codex" => (toml::from_str(text).unwrap(), "mcp_servers"),
        "vscode" => (serde_json::from_str(text).unwrap(), "servers"),
        _ => (serde_json::from_str(text).unwrap(), "mcpServers"),
    };
    whole[under]["mailbell"].clone()
}

#[test]
fn each_client_gets_the_block_that_it_reads() {
    let home = tempfile::tempdir().unwrap();
    for client in CLIENTS {
        let stdio = done(home.path(), &[client], "");
        let read = server(client, &stdio);
        assert_eq!((&read["command"], &read["args"]), (&json!(BINARY), &json!(["mcp"])), "{client}");
        let elsewhere = done(home.path(), &[client, "--data-dir", "data"], "");
        let dir = home.path().canonicalize().unwrap().join("data");
        assert_eq!(server(client, &elsewhere)["args"], json!(["mcp", "--data-dir", dir]), "{client}");
        let http = done(home.path(), &[client, "--http", URL], "");
        server(client, &http);
        let shown = format!("{stdio}\n{http}").replace(BINARY, "/usr/bin/mailbell");
        insta::assert_snapshot!(format!("client_config__{client}"), shown);
        assert!(http.contains(URL) && !http.contains("mb_"), "{http}");
    }
    assert!(fs::read_dir(home.path()).unwrap().next().is_none(), "printing writes nothing");
}

#[test]
fn writing_finds_the_client_s_own_file_and_says_when_nothing_is_to_be_done() {
    let home = tempfile::tempdir().unwrap();
    for (client, file) in [
        ("claude-code", ".mcp.json"),
        ("cursor", ".cursor/mcp.json"),
        ("codex", ".codex/config.toml"),
        ("gemini", ".gemini/settings.json"),
    ] {
        let told = done(home.path(), &[client, "--http", URL, "--write"], "");
        assert!(told.contains("is written"), "{told}");
        let written = fs::read_to_string(home.path().join(file)).unwrap();
        assert_eq!(written, done(home.path(), &[client, "--http", URL], ""), "{client}");
        let told = done(home.path(), &[client, "--http", URL, "--write"], "");
        assert!(told.contains("says so already"), "{told}");
    }
    // Nothing beside them: no copies, no leavings.
    let beside: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside.len(), 4, "{beside:?}");
}

#[test]
fn what_else_stands_in_the_file_stays_to_the_byte_and_the_old_state_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let json = "// mine\n{\n  \"zebra\": 1e3, /* odd */\n  \"servers\": {\n    \"other\": { \"url\": \"https://o.test\", },\n  },\n  \"alpha\": [1,2 , 3],\n}\n";
    let toml = "# mine\nmodel = \"x\"   # odd\n\n[mcp_servers.other]\ncommand = 'o'\n\n[z]\na = 1\n";
    for (client, name, before, kept) in [
        (
            "vscode",
            "mcp.json",
            json,
            vec![
                "// mine\n{\n  \"zebra\": 1e3, /* odd */\n",
                "\"other\": { \"url\": \"https://o.test\", },",
                "\"alpha\": [1,2 , 3],\n}\n",
            ],
        ),
        (
            "codex",
            "config.toml",
            toml,
            vec!["# mine\nmodel = \"x\"   # odd\n", "[mcp_servers.other]\ncommand = 'o'\n", "[z]\na = 1\n"],
        ),
    ] {
        // The file is a link to where its user keeps it.
        let path = home.path().join(name);
        let real = home.path().join(format!("real-{name}"));
        fs::write(&real, before).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &path).unwrap();
        let file = path.to_str().unwrap();
        let told = done(home.path(), &[client, "--write", "--file", file], "");
        assert!(path.is_symlink());
        let after = fs::read_to_string(&real).unwrap();
        for part in &kept {
            assert!(after.contains(part), "{part:?} in {after}");
        }
        assert!(after.contains(BINARY), "{after}");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        let backup = home.path().join(format!("real-{name}.before-mailbell-1"));
        assert!(told.contains("before-mailbell-1"), "{told}");
        assert_eq!(fs::read_to_string(&backup).unwrap(), before);
        // Another connection takes the place of this one, and the first copy stays.
        done(home.path(), &[client, "--http", URL, "--write", "--file", file], "");
        let after = fs::read_to_string(&real).unwrap();
        assert!(after.contains(URL) && !after.contains(BINARY), "{after}");
        assert_eq!(fs::read_to_string(&backup).unwrap(), before);
        done(home.path(), &[client, "--http", URL, "--write", "--file", file], "");
        assert!(!home.path().join(format!("real-{name}.before-mailbell-3")).exists());
    }
}

#[test]
fn a_file_that_cannot_be_read_is_left_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    for (client, text, told) in [
        ("cursor", "{ \"mcpServers\": ", "it is no JSON"),
        ("cursor", "[1]", "it holds no JSON object"),
        ("cursor", "{ \"mcpServers\": 7 }", "`mcpServers` in it is no object"),
        ("codex", "mcp_servers = ", "it is no TOML"),
        ("codex", "mcp_servers = 7", "`mcp_servers` in it is no table"),
    ] {
        let path = home.path().join("settings");
        fs::write(&path, text).unwrap();
        let said = refused(home.path(), &[client, "--write", "--file", path.to_str().unwrap()], "");
        assert!(said.contains(told) && said.contains("nothing was changed"), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn a_token_goes_where_no_git_work_tree_is_and_into_no_url() {
    let home = tempfile::tempdir().unwrap();
    let run_with = |file: &str, token: &str| {
        let args = ["claude-desktop", "--http", URL, "--token-stdin", "--write", "--file", file];
        run(home.path(), &args, token)
    };
    let ran = run_with("own/desktop.json", TOKEN);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let path = home.path().join("own/desktop.json");
    let read = server("claude-desktop", &fs::read_to_string(&path).unwrap());
    assert_eq!((&read["env"]["MAILBELL_TOKEN"], &read["args"]), (&json!(TOKEN), &json!(["mcp", "--connect", URL])));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!String::from_utf8_lossy(&ran.stdout).contains(TOKEN));

    // A work tree, a linked one (`.git` is a file), and a link from outside into one.
    fs::create_dir_all(home.path().join("tree/.git")).unwrap();
    fs::create_dir_all(home.path().join("linked/deep")).unwrap();
    fs::write(home.path().join("linked/.git"), "gitdir: elsewhere").unwrap();
    std::os::unix::fs::symlink(home.path().join("tree"), home.path().join("way")).unwrap();
    for file in ["tree/a.json", "tree/new/deeper/a.json", "linked/deep/a.json", "way/a.json", "way/new/a.json"] {
        let ran = run_with(file, TOKEN);
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(!ran.status.success() && told.contains("git work tree") && !told.contains(TOKEN), "{file}: {told}");
        assert!(!home.path().join(file).exists());
    }
    // Without a token such a file is fine.
    done(home.path(), &["claude-code", "--http", URL, "--write", "--file", "tree/.mcp.json"], "");

    for (token, told) in [("", "no token"), ("mb_mcp_\"},", "no token"), ("mb_operator_0123", "operator's token")] {
        let ran = run_with("own/other.json", token);
        assert!(!ran.status.success() && String::from_utf8_lossy(&ran.stderr).contains(told), "{token}");
    }
    for url in
        ["https://mb_mcp_1@h.test/mcp", "https://h.test/mcp?token=mb_mcp_1", "ftp://h.test/", "https://h.test/#x"]
    {
        let told = refused(home.path(), &["cursor", "--http", url], "");
        assert!(told.contains("MAILBELL_TOKEN"), "{told}");
    }
}
