//! The operator is told by a real process, once, also where it is killed in between.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::support::{run, serve, until};

/// Takes letters: each by the id in its header; it answers once it is told to.
struct Desk {
    url: String,
    ids: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<bool>>,
}

impl Desk {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let url = format!("http://{}/notices", listener.local_addr().expect("an address"));
        let (ids, answers) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(false)));
        let (taken, may) = (ids.clone(), answers.clone());
        tokio::spawn(async move {
            // Kept open: a sender that hears nothing waits.
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut request, mut some) = (String::new(), [0; 4096]);
                while !request.contains("\r\n\r\n") {
                    match stream.read(&mut some).await {
                        Ok(count) if count > 0 => request.push_str(&String::from_utf8_lossy(&some[..count])),
                        _ => break,
                    }
                }
                let id = request.lines().find_map(|line| line.strip_prefix("webhook-id: ").map(str::to_owned));
                taken.lock().expect("not poisoned").extend(id);
                if *may.lock().expect("not poisoned") {
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
                } else {
                    silent.push(stream);
                }
            }
        });
        Self { url, ids, answers }
    }

    fn ids(&self) -> Vec<String> {
        self.ids.lock().expect("not poisoned").clone()
    }
}

fn config(dir: &std::path::Path, target: &str) -> String {
    let file = dir.join("config.toml");
    std::fs::write(&file, format!("[operator]\nnotify = [\"{target}\"]\n")).expect("written");
    file.to_str().expect("UTF-8").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_by_mail_is_told_of_once_it_has_arrived() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("data");
    let config = config(home.path(), "agent@mailbell.test");
    let (_keeper, _) = serve(&dir, &["--config", &config]).await;
    for _ in 0..3 {
        let said = run(&dir, &["notify", "test", "--config", &config], "").await;
        assert_eq!(said.trim(), "told  agent@mailbell.test");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_is_killed_while_it_tells_leaves_the_letter_to_the_next_under_its_id() {
    let home = tempfile::tempdir().expect("a directory");
    let (dir, desk) = (home.path().join("data"), Desk::open().await);
    let config = config(home.path(), &desk.url);
    let (mut keeper, _) = serve(&dir, &["--config", &config]).await;
    let testing = tokio::spawn({
        let (dir, config) = (dir.clone(), config.clone());
        async move { run(&dir, &["notify", "test", "--config", &config], "").await }
    });
    until("that the letter is on its way", async || !desk.ids().is_empty()).await;
    keeper.signal(Signal::KILL);
    keeper.ended().await;
    *desk.answers.lock().expect("not poisoned") = true;
    let (_keeper, _) = serve(&dir, &["--config", &config]).await;
    let said = testing.await.expect("it ends");
    assert!(said.starts_with("told  "), "{said}");
    let ids = desk.ids();
    assert!(ids.len() >= 2, "{ids:?}");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 1, "{ids:?}");
}
