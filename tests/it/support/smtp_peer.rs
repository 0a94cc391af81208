//! A peer that speaks SMTP byte for byte as the story says.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

/// A connection to an SMTP listener.
pub struct SmtpPeer {
    stream: BufReader<TcpStream>,
}

impl SmtpPeer {
    /// Connects without waiting for the greeting.
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Connects and says EHLO.
    pub async fn hello(addr: SocketAddr) -> Self {
        let mut peer = Self::connect(addr).await;
        assert_eq!(peer.reply().await.0, 220);
        assert_eq!(peer.say("EHLO peer.test").await.0, 250);
        peer
    }

    /// Sends `bytes` as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    /// Sends a line and waits for the reply.
    pub async fn say(&mut self, line: &str) -> (u16, String) {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    /// The next reply: its code, and its text without it, lines joined by line feeds. Code 0 if the connection is
    /// closed.
    pub async fn reply(&mut self) -> (u16, String) {
        let mut texts = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return (0, texts.join("\n"));
            }
            assert!(line.ends_with("\r\n"), "{line:?}");
            let (code, rest) = (line[..3].parse().unwrap(), line[4..].trim_end());
            texts.push(rest.to_owned());
            if line.as_bytes()[3] == b' ' {
                return (code, texts.join("\n"));
            }
        }
    }

    /// Names the sender and the recipients, all of which are taken, and sends DATA.
    pub async fn begin(&mut self, to: &[&str]) {
        assert_eq!(self.say("MAIL FROM:<ann@a.test>").await.0, 250);
        for recipient in to {
            assert_eq!(self.say(&format!("RCPT TO:<{recipient}>")).await.0, 250, "{recipient}");
        }
        assert_eq!(self.say("DATA").await.0, 354);
    }

    /// Sends a message, already stuffed, without its end, and returns the id that it was stored under.
    pub async fn deliver(&mut self, to: &[&str], message: &str) -> String {
        self.begin(to).await;
        self.send(message.as_bytes()).await;
        let (code, text) = self.say("\r\n.").await;
        assert_eq!(code, 250, "{text}");
        text.split_whitespace().find(|word| word.starts_with("em_")).unwrap().to_owned()
    }

    /// Waits until the other side closes, and returns what it still said.
    pub async fn closed(mut self) -> String {
        let mut rest = Vec::new();
        // A connection that was reset is closed too.
        let _ = self.stream.read_to_end(&mut rest).await;
        String::from_utf8(rest).unwrap()
    }
}
