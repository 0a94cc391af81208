//! A relay that says what the story wants: one answer per recipient, one for the message, or nothing at all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::certificate;

/// What it got: the envelope and the message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Got {
    pub from: String,
    pub to: Vec<String>,
    pub message: String,
    /// Whether it came over TLS, and what was said in AUTH before.
    pub tls: bool,
    pub auth: Option<String>,
}

#[derive(Default)]
struct Inner {
    /// Answers to RCPT, by address; 250 otherwise.
    recipients: BTreeMap<String, Vec<u8>>,
    /// The answer to the greeting, MAIL and the message, where it is none of the usual.
    greeting: Option<String>,
    mail: Option<String>,
    end: Option<String>,
    /// Closes instead of answering the end of the message, having read all of it.
    hang_up: bool,
    dsn: bool,
    tls: Option<TlsAcceptor>,
    got: Vec<Got>,
}

/// The relay.
#[derive(Clone)]
pub struct FakeRelay {
    inner: Arc<Mutex<Inner>>,
    pub port: u16,
}

impl FakeRelay {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self { inner: Arc::default(), port: listener.local_addr().unwrap().port() };
        let serving = relay.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let relay = serving.clone();
                // A peer that goes away ends its conversation.
                tokio::spawn(async move { drop(relay.converse(stream).await) });
            }
        });
        relay
    }

    pub fn answers_for(&self, recipient: &str, answer: &str) {
        self.answers_for_in_bytes(recipient, answer.as_bytes());
    }

    /// The same, in a charset of its own.
    pub fn answers_for_in_bytes(&self, recipient: &str, answer: &[u8]) {
        self.inner.lock().unwrap().recipients.insert(recipient.into(), answer.into());
    }

    pub fn greets(&self, answer: Option<&str>) {
        self.inner.lock().unwrap().greeting = answer.map(str::to_owned);
    }

    pub fn answers_mail(&self, answer: Option<&str>) {
        self.inner.lock().unwrap().mail = answer.map(str::to_owned);
    }

    pub fn answers_message(&self, answer: Option<&str>) {
        self.inner.lock().unwrap().end = answer.map(str::to_owned);
    }

    pub fn hangs_up(&self, hang_up: bool) {
        self.inner.lock().unwrap().hang_up = hang_up;
    }

    pub fn offers_dsn(&self) {
        self.inner.lock().unwrap().dsn = true;
    }

    /// Offers STARTTLS, and AUTH only after it, with a certificate for `localhost`; answers with the authority behind it.
    pub fn offers_tls(&self) -> String {
        let (acceptor, ca) = certificate::acceptor("localhost");
        self.inner.lock().unwrap().tls = Some(acceptor);
        ca
    }

    /// What it was handed so far, that which it did not answer included.
    pub fn got(&self) -> Vec<Got> {
        self.inner.lock().unwrap().got.clone()
    }

    async fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut plain = BufReader::new(stream);
        let greeting = self.inner.lock().unwrap().greeting.clone().unwrap_or("220 relay.test".into());
        say(&mut plain, &greeting).await?;
        let acceptor = self.inner.lock().unwrap().tls.clone();
        if self.lines(&mut plain, acceptor.is_none()).await? {
            let secured = acceptor.unwrap().accept(plain.into_inner()).await?;
            self.lines(&mut BufReader::new(secured), true).await?;
        }
        Ok(())
    }

    /// Answers until the end, or until the peer wants TLS. With `last` there is none to come.
    async fn lines<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
        last: bool,
    ) -> std::io::Result<bool> {
        let (mut got, mut auth) = (Got::default(), None);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(false);
            }
            let line = line.trim_end();
            let verb = line[..4].to_ascii_uppercase();
            let answer = match verb.as_str() {
                "EHLO" if !last => "250-relay.test\r\n250 STARTTLS".into(),
                "EHLO" if self.inner.lock().unwrap().dsn => "250-relay.test\r\n250 DSN".into(),
                "EHLO" if self.inner.lock().unwrap().tls.is_some() => "250-relay.test\r\n250 AUTH PLAIN".into(),
                "EHLO" => "250 relay.test".into(),
                "STAR" => {
                    say(stream, "220 go on").await?;
                    return Ok(true);
                }
                "AUTH" => {
                    auth = Some(line.to_owned());
                    "235 2.7.0 welcome".into()
                }
                "MAIL" => {
                    let tls = last && self.inner.lock().unwrap().tls.is_some();
                    got = Got { from: line[10..].into(), tls, auth: auth.clone(), ..Got::default() };
                    self.inner.lock().unwrap().mail.clone().unwrap_or("250 2.1.0 ok".into())
                }
                "RCPT" => {
                    let path = line[8..].to_owned();
                    let address = path.trim_start_matches('<').split('>').next().unwrap().to_owned();
                    let answer = self.inner.lock().unwrap().recipients.get(&address).cloned();
                    if answer.as_ref().is_none_or(|answer| answer.starts_with(b"2")) {
                        got.to.push(path);
                    }
                    if let Some(answer) = answer {
                        say_bytes(stream, &answer).await?;
                        continue;
                    }
                    "250 2.1.5 ok".into()
                }
                "DATA" => {
                    say(stream, "354 go on").await?;
                    loop {
                        let mut line = String::new();
                        stream.read_line(&mut line).await?;
                        if line == ".\r\n" {
                            break;
                        }
                        got.message.push_str(&line);
                    }
                    let mut inner = self.inner.lock().unwrap();
                    inner.got.push(std::mem::take(&mut got));
                    if inner.hang_up {
                        return Ok(false);
                    }
                    inner.end.clone().unwrap_or("250 2.0.0 queued as 1234".into())
                }
                "QUIT" => "221 bye".into(),
                _ => "250 ok".into(),
            };
            say(stream, &answer).await?;
        }
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, line: &str) -> std::io::Result<()> {
    say_bytes(stream, line.as_bytes()).await
}

async fn say_bytes<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, line: &[u8]) -> std::io::Result<()> {
    stream.get_mut().write_all(&[line, b"\r\n"].concat()).await?;
    stream.get_mut().flush().await
}
