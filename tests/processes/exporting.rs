//! An export goes on where the last one ended, and the log that was restored does not take the old one's place.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{add_source, http, mail, post, run, run_badly, serve, until};

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_goes_on_where_the_last_one_ended() {
    let home = tempfile::tempdir().expect("a directory");
    let (dir, file, cursor) = (home.path().join("house"), home.path().join("events.jsonl"), home.path().join("cursor"));
    let (_house, ready) = serve(&dir, &[]).await;
    add_source(&dir).await;
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let export = ["export".to_owned(), text(&file), "--cursor-file".to_owned(), text(&cursor)];
    let export: Vec<&str> = export.iter().map(String::as_str).collect();
    for round in 1..=2 {
        assert!(post(&http(), &dir, &format!("d{round}")).await);
        run(&dir, &export, "").await;
        let ids: Vec<Value> = lines(&file).iter().map(|event| event["event_id"].clone()).collect();
        assert_eq!(ids.len(), round, "each event once: {ids:?}");
    }
    assert!(mail(ready["smtp"].as_str().expect("an address"), "one").await);
    until("the mail's event", async || run(&dir, &["export", "--kinds", "inbound"], "").await.lines().count() == 1)
        .await;
    let inbound = run(&dir, &["export", "--kinds", "inbound", "--domain", "mailbell.test"], "").await;
    let inbound: Value = serde_json::from_str(&inbound).expect("one event");
    let thread = inbound["thread_id"].as_str().expect("an id");
    assert_eq!(run(&dir, &["export", "--thread-id", thread], "").await.lines().count(), 1);
    assert_eq!(run(&dir, &["export", "--kinds", "inbound", "--mailbox", "nobody@mailbell.test"], "").await, "");

    let backup = text(&home.path().join("backup"));
    run(&dir, &["backup", &backup], "").await;
    let again = home.path().join("again");
    run(&again, &["restore", &backup], "").await;
    let (code, said) = run_badly(&again, &export).await;
    assert!(code == 1 && said.contains("belongs to another log"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_mail_is_exported_to_the_byte_and_no_message_twice() {
    let home = tempfile::tempdir().expect("a directory");
    let (dir, to) = (home.path().join("house"), home.path().join("mail"));
    let (_house, ready) = serve(&dir, &[]).await;
    let smtp = ready["smtp"].as_str().expect("an address");
    let at = to.to_str().expect("UTF-8");
    let mut known = Vec::new();
    for subject in ["one", "two"] {
        assert!(mail(smtp, subject).await);
        let told = run(&dir, &["export", "--raw", at], "").await;
        let told: Value = serde_json::from_str(&told).expect("a line for the new message alone");
        assert_eq!((&told["mailbox"], &told["direction"]), (&"agent@mailbell.test".into(), &"inbound".into()));
        let raw = fs::read_to_string(told["file"].as_str().expect("a path")).expect("a file");
        assert!(raw.starts_with("Return-Path:") || raw.starts_with("Received:"), "as it was stored: {raw}");
        let end = format!("From: ann@customer.test\r\nSubject: {subject}\r\n\r\nHello\r\n");
        assert!(raw.ends_with(&end), "{raw}");
        assert_eq!(told["bytes"], raw.len());
        known.push(format!("{}.eml", told["message_id"].as_str().expect("an id")));
    }
    let mut files: Vec<String> = fs::read_dir(&to)
        .expect("listed")
        .map(|file| file.expect("a file").file_name().into_string().expect("UTF-8"))
        .collect();
    known.sort();
    files.sort();
    assert_eq!(files, known);
    assert_eq!(run(&dir, &["export", "--raw", at], "").await, "", "nothing is new");
    let other = home.path().join("other");
    let other = other.to_str().expect("UTF-8");
    assert_eq!(run(&dir, &["export", "--raw", other, "--mailbox", "nobody@mailbell.test"], "").await, "");
    let (code, said) = run_badly(&dir, &["export", "--raw", other, "--kinds", "inbound"]).await;
    assert!(code == 2 && said.contains("--kinds"), "{code} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_manual_pages_know_every_command() {
    let home = tempfile::tempdir().expect("a directory");
    let plain = async |arguments: &[&str]| {
        let output = tokio::process::Command::new(crate::support::BINARY).args(arguments).output().await.expect("ran");
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = plain(&["completions", shell]).await;
        assert!(script.contains("backup") && script.contains("approvals"), "{shell}");
    }
    let page = plain(&["man"]).await;
    assert!(page.starts_with(".ie") && page.contains("Exit codes"), "{page}");
    let to = home.path().join("man1");
    plain(&["man", "--to", to.to_str().expect("UTF-8")]).await;
    for file in ["mailbell.1", "mailbell-backup.1", "mailbell-webhook-rotate.1"] {
        assert!(to.join(file).exists(), "{file}");
    }
}
