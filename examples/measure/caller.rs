//! An MCP client in a few lines on a socket, for the same reason as [`crate::load`]: a whole one costs more than what it calls.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::Failure;

/// The protocol it speaks: a call is a request by itself.
const PROTOCOL: &str = "2026-07-28";

/// A connection that is kept.
pub(crate) struct Caller {
    stream: TcpStream,
    token: String,
    read: Vec<u8>,
}

impl Caller {
    /// Opens one to the listener `mcp`.
    pub(crate) async fn open(to: SocketAddr, token: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(to).await.map_err(|error| format!("could not connect to {to}: {error}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, token: token.to_owned(), read: Vec::with_capacity(16 << 10) })
    }

    /// The bytes of a call.
    pub(crate) fn request(&self, tool: &str, arguments: &Value) -> Vec<u8> {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": PROTOCOL,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "measure", "version": "1" },
        });
        let params = json!({ "name": tool, "arguments": arguments, "_meta": meta });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
        let (token, length) = (&self.token, body.len());
        format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nmcp-protocol-version: {PROTOCOL}\r\n\
             mcp-method: tools/call\r\nmcp-name: {tool}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// Sends `request` and answers with the whole response, head and all.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<&[u8], Failure> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if is_whole(&self.read)? {
                return Ok(&self.read);
            }
        }
    }

    /// Sends `request` and answers with the message that comes back.
    pub(crate) async fn message(&mut self, request: &[u8]) -> Result<Value, Failure> {
        message(self.exchange(request).await?)
    }

    /// Calls `tool`, and answers with what it says.
    pub(crate) async fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value, Failure> {
        let request = self.request(tool, arguments);
        let answer = self.message(&request).await?;
        let content = &answer["result"]["structuredContent"];
        if content.is_null() || answer["result"]["isError"] == true {
            return Err(format!("{tool} answered {answer}").into());
        }
        Ok(content.clone())
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The length that the head tells of; none where the body comes in chunks.
fn length(head: &str) -> Option<usize> {
    head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

fn is_whole(bytes: &[u8]) -> Result<bool, Failure> {
    let Some(end) = head_end(bytes) else { return Ok(false) };
    Ok(match length(std::str::from_utf8(&bytes[..end])?) {
        Some(length) => bytes.len() >= end + length,
        None => bytes.ends_with(b"0\r\n\r\n"),
    })
}

/// The JSON-RPC message in a response: its body, or the last one of an event stream.
fn message(response: &[u8]) -> Result<Value, Failure> {
    let end = head_end(response).ok_or("that is no HTTP answer")?;
    let head = std::str::from_utf8(&response[..end])?;
    let body = match length(head) {
        Some(_) => response[end..].to_vec(),
        None => unchunked(&response[end..])?,
    };
    let text = String::from_utf8(body)?;
    if let Ok(whole) = serde_json::from_str(&text) {
        return Ok(whole);
    }
    let last = text.lines().filter_map(|line| line.strip_prefix("data:")).rfind(|data| !data.trim().is_empty());
    let last = last.ok_or_else(|| format!("no message in {:?}", head.lines().next()))?;
    Ok(serde_json::from_str(last.trim())?)
}

fn unchunked(mut chunked: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::with_capacity(chunked.len());
    loop {
        let line = chunked.windows(2).position(|window| window == b"\r\n").ok_or("a chunk without a length")?;
        let length = usize::from_str_radix(std::str::from_utf8(&chunked[..line])?.trim(), 16)?;
        let data = chunked.get(line + 2..line + 2 + length).ok_or("a chunk that is cut off")?;
        if length == 0 {
            return Ok(whole);
        }
        whole.extend_from_slice(data);
        chunked = chunked.get(line + 4 + length..).ok_or("a chunk that is cut off")?;
    }
}
