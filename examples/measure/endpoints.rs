//! Receivers of webhooks, as bare as can be: they answer 200 at once, count, and look whether events come in order.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::Failure;

/// Names the event; the ids of a mailbox rise.
pub(crate) const EVENT_ID: &str = "x-multimail-event-id";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What the receivers saw.
pub(crate) struct Seen {
    /// Posts.
    pub(crate) posts: AtomicU64,
    /// Posts whose event came after a later one, or a second time.
    pub(crate) disorder: AtomicU64,
    latest: Mutex<HashMap<u16, String>>,
    held: watch::Sender<bool>,
}

impl Seen {
    /// Nothing yet. Where it is `held`, nobody is answered before [`Self::let_go`].
    pub(crate) fn held(held: bool) -> Self {
        let (posts, disorder) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { posts, disorder, latest: Mutex::default(), held: watch::Sender::new(held) }
    }

    /// Has them answer.
    pub(crate) fn let_go(&self) {
        self.held.send_replace(false);
    }
}

/// Starts receivers on `count` ports of their own; each takes the events of one mailbox.
pub(crate) async fn listen(count: usize, seen: &Arc<Seen>) -> Result<Vec<SocketAddr>, Failure> {
    let mut addresses = Vec::with_capacity(count);
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses.push(listener.local_addr()?);
        tokio::spawn(accept(listener, seen.clone()));
    }
    Ok(addresses)
}

async fn accept(listener: TcpListener, seen: Arc<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        let port = stream.local_addr().map_or(0, |address| address.port());
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve(stream, port, seen.clone()));
    }
}

async fn serve(mut stream: TcpStream, port: u16, seen: Arc<Seen>) {
    let mut read = Vec::with_capacity(4096);
    let mut held = seen.held.subscribe();
    loop {
        while let Some((id, length)) = request(&read) {
            read.drain(..length);
            let _ = held.wait_for(|held| !held).await;
            seen.posts.fetch_add(1, Ordering::Relaxed);
            if let Some(id) = id {
                let mut latest = seen.latest.lock().unwrap_or_else(PoisonError::into_inner);
                let before = latest.entry(port).or_default();
                if *before >= id {
                    seen.disorder.fetch_add(1, Ordering::Relaxed);
                } else {
                    *before = id;
                }
            }
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// The event's id and the length of the first request in `bytes`, once it is whole.
fn request(bytes: &[u8]) -> Option<(Option<String>, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let (mut id, mut length) = (None, 0);
    for line in std::str::from_utf8(&bytes[..end]).ok()?.split("\r\n") {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        } else if name.eq_ignore_ascii_case(EVENT_ID) {
            id = Some(value.trim().to_owned());
        }
    }
    (bytes.len() >= end + length).then_some((id, end + length))
}
