//! A client that sends exactly what a story says.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Serves `router` on a free port.
pub async fn serve(router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    addr
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub json: Value,
}

/// Sends one request on a connection of its own and reads the whole answer.
pub async fn send(addr: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n");
    let length = body.len().to_string();
    for (name, value) in headers.iter().copied().chain([("content-length", length.as_str())]) {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    read(&mut stream).await
}

/// Reads an answer to its end.
pub async fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), json: serde_json::from_str(body).unwrap_or(Value::Null) }
}

/// Posts signed bodies, one after the other, on one connection, and answers with their statuses.
pub async fn send_all(addr: SocketAddr, path: &str, bodies: &[(Vec<u8>, String)]) -> Vec<u16> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut statuses = Vec::with_capacity(bodies.len());
    for (body, signature) in bodies {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {addr}\r\nx-multimail-signature: {signature}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        statuses.push(status(&mut stream).await);
    }
    statuses
}

/// Reads one answer with a content-length, and leaves the connection open.
async fn status(stream: &mut TcpStream) -> u16 {
    let mut bytes = Vec::new();
    loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the connection ended");
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if bytes.len() == end + 4 + length.parse::<usize>().unwrap() {
            return head.split(' ').nth(1).unwrap().parse().unwrap();
        }
    }
}
