//! Bodies that nobody reads: a client that keeps its connection goes on all the same, or is told that it ends.

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{api::ApiServer, clock::TestClock, hooks::HOUSE_TOKEN, post::Post};

/// A connection that is kept.
struct Peer(TcpStream);

impl Peer {
    async fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n");
        self.0.write_all(head.as_bytes()).await.unwrap();
        // A server that has closed may be noticed only by what it answered.
        let _ = self.0.write_all(body).await;
    }

    /// The status of the next answer, and whether it says that it is the last.
    async fn answer(&mut self) -> Option<(u16, bool)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.trim().to_owned().into());
        let length: Option<String> = field("content-length:");
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        self.0.read_exact(&mut body).await.ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, field("connection:").as_deref() == Some("close")))
    }
}

fn key() -> String {
    format!("X-API-Key: {HOUSE_TOKEN}\r\n")
}

async fn server() -> (ApiServer, Post, TempDir) {
    let dir = TempDir::new().unwrap();
    let post = Post::open(dir.path(), &TestClock::default(), None).await;
    (ApiServer::start(post.api.clone()).await, post, dir)
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_does_not_end_the_connection() {
    let (server, _post, _dir) = server().await;
    let mut peer = Peer(TcpStream::connect(server.address).await.unwrap());
    let key = key();
    // More than a connection's buffer holds, so that it is not read by chance.
    let body = vec![b' '; 3 << 20];
    for (method, path, headers, status) in [
        ("POST", "/v1/nothing", key.as_str(), 404),
        // The gate reads what would change something at a path that there is.
        ("DELETE", "/v1/account", &key, 413),
        ("PUT", "/v1/mailboxes", &key, 413),
        ("POST", "/v1/contacts", "", 401),
        ("POST", "/v1/contacts", "Authorization: Bearer wrong\r\n", 401),
        ("GET", "/v1/mailboxes", &key, 200),
        ("POST", "/v1/contacts", &key, 413),
    ] {
        peer.send(method, path, headers, &body).await;
        assert_eq!(peer.answer().await, Some((status, false)), "{method} {path}");
    }
    peer.send("GET", "/v1/mailboxes", &key, b"").await;
    assert_eq!(peer.answer().await, Some((200, false)));
}

#[tokio::test]
async fn one_that_is_too_large_to_be_dropped_ends_it_with_a_word() {
    let (server, _post, _dir) = server().await;
    for (path, headers, status) in [("/v1/nothing", key(), 404), ("/v1/contacts", String::new(), 401)] {
        let mut peer = Peer(TcpStream::connect(server.address).await.unwrap());
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: 1000000000\r\n\r\n");
        peer.0.write_all(head.as_bytes()).await.unwrap();
        peer.0.write_all(&vec![b' '; (4 << 20) + 1]).await.unwrap();
        assert_eq!(peer.answer().await, Some((status, true)), "{path}");
    }
    // Who waits to be asked for its body is answered at once.
    let mut peer = Peer(TcpStream::connect(server.address).await.unwrap());
    let head = "POST /v1/contacts HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    peer.0.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(peer.answer().await, Some((401, true)));
}
