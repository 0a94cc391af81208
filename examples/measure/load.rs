//! Load over HTTP: so many connections that are kept, each posting the next event as soon as the last is answered.
//!
//! The client is a few lines on a socket, because a whole one costs more than the servers that are measured.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    Failure,
    events::{Maker, Post},
    usage,
};

/// What is posted where, and for how long.
#[derive(Clone)]
pub(crate) struct Load {
    /// The server.
    pub(crate) to: SocketAddr,
    /// The path.
    pub(crate) path: String,
    /// Posters at once.
    pub(crate) connections: usize,
    /// How long they post before anything counts.
    pub(crate) warm: Duration,
    /// How long what they post counts.
    pub(crate) run: Duration,
    /// At most so many posts a second over all connections, where there is a limit.
    pub(crate) per_sec_max: Option<f64>,
    /// What they post.
    pub(crate) maker: Maker,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Posts answered with 2xx.
    pub(crate) done: u64,
    /// Posts answered otherwise, or not at all.
    pub(crate) failed: u64,
    /// How long that took.
    pub(crate) elapsed: Duration,
    /// The CPU time that posting took in this process.
    pub(crate) own_cpu: Duration,
    /// The CPU time of the processes that were watched.
    pub(crate) server_cpu: Duration,
    /// How long each answer took, in microseconds, the shortest first.
    latencies_micros: Vec<u32>,
}

impl Outcome {
    /// Posts a second.
    pub(crate) fn per_sec(&self) -> f64 {
        count(self.done) / self.elapsed.as_secs_f64()
    }

    /// The latency that `share` of the posts stayed within, in milliseconds.
    pub(crate) fn latency_ms(&self, share: f64) -> f64 {
        percentile(&self.latencies_micros, share) / 1e3
    }

    /// CPU time of the watched processes for each post, in microseconds.
    pub(crate) fn server_micros(&self) -> f64 {
        self.server_cpu.as_secs_f64() * 1e6 / count(self.done)
    }

    /// This process's own CPU time for each post, in microseconds.
    pub(crate) fn own_micros(&self) -> f64 {
        self.own_cpu.as_secs_f64() * 1e6 / count(self.done)
    }
}

/// The value that `share` of `sorted` stay within; not a number where there is none.
pub(crate) fn percentile(sorted: &[u32], share: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place")]
    let at = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(at).map_or(f64::NAN, |micros| f64::from(*micros))
}

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2^52")]
pub(crate) fn count(number: u64) -> f64 {
    number as f64
}

/// Puts `load` on a server whose processes are `pids`.
pub(crate) async fn put(load: &Load, pids: &[u32]) -> Result<Outcome, Failure> {
    let (counting, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut posters = JoinSet::new();
    for n in 0..load.connections {
        let connection = Connection::open(load.to, &load.path).await?;
        posters.spawn(poster(n, load.clone(), connection, counting.clone(), over.clone()));
    }
    tokio::time::sleep(load.warm).await;
    let (own, server, began) = (usage::of(std::process::id()).cpu, usage::cpu_of(pids), Instant::now());
    counting.store(true, Ordering::Relaxed);
    tokio::time::sleep(load.run).await;
    counting.store(false, Ordering::Relaxed);
    let mut whole = Outcome {
        elapsed: began.elapsed(),
        own_cpu: usage::of(std::process::id()).cpu.saturating_sub(own),
        server_cpu: usage::cpu_of(pids).saturating_sub(server),
        ..Outcome::default()
    };
    over.store(true, Ordering::Relaxed);
    while let Some(part) = posters.join_next().await {
        let part = part?;
        whole.done += part.done;
        whole.failed += part.failed;
        whole.latencies_micros.extend(part.latencies_micros);
    }
    whole.latencies_micros.sort_unstable();
    Ok(whole)
}

async fn poster(n: usize, load: Load, mut at: Connection, counting: Arc<AtomicBool>, over: Arc<AtomicBool>) -> Outcome {
    let mut part = Outcome::default();
    let pace = load.per_sec_max.map(|all| Duration::from_secs_f64(count(load.connections as u64) / all));
    let mut next = Instant::now() + pace.unwrap_or_default().mul_f64(count(n as u64) / count(load.connections as u64));
    while !over.load(Ordering::Relaxed) {
        if let Some(pace) = pace {
            tokio::time::sleep_until(next.into()).await;
            // Where the server is behind, what was not posted in time is not made up for.
            next = (next + pace).max(Instant::now());
        }
        let post = load.maker.post();
        let began = Instant::now();
        let status = at.post(&post).await;
        let took = began.elapsed();
        let counts = counting.load(Ordering::Relaxed);
        if matches!(status, Ok(200..=299)) {
            if counts {
                part.done += 1;
                part.latencies_micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
            }
            continue;
        }
        part.failed += 1;
        if status.is_err() {
            match Connection::open(load.to, &load.path).await {
                Ok(again) => at = again,
                Err(_) => return part,
            }
        }
    }
    part
}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    path: String,
    read: Vec<u8>,
    write: Vec<u8>,
}

impl Connection {
    /// Opens one to `to`, for posts to `path`.
    pub(crate) async fn open(to: SocketAddr, path: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(to).await.map_err(|error| format!("could not connect to {to}: {error}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, path: path.to_owned(), read: Vec::with_capacity(4096), write: Vec::with_capacity(2048) })
    }

    /// Posts, and answers with the status once the whole answer is there.
    pub(crate) async fn post(&mut self, post: &Post) -> Result<u16, Failure> {
        let Post { body, signature } = post;
        let (path, length) = (&self.path, body.len());
        self.write.clear();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: measured.test\r\ncontent-type: application/json\r\nx-multimail-signature: {signature}\r\ncontent-length: {length}\r\n\r\n"
        );
        self.write.extend_from_slice(head.as_bytes());
        self.write.extend_from_slice(body.as_bytes());
        self.stream.write_all(&self.write).await?;
        self.read.clear();
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some(status) = answered(&self.read)? {
                return Ok(status);
            }
        }
    }
}

/// The status of the answer in `bytes`, once it is whole.
fn answered(bytes: &[u8]) -> Result<Option<u16>, Failure> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or("that is no HTTP answer")?;
    let length = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    };
    let length = lines.find_map(length).ok_or("the answer has no content-length")?;
    Ok((bytes.len() >= end + 4 + length).then_some(status))
}
