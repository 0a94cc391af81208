//! An IMAP server that says what the story wants, to each command.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// What to say to a line of the client's, without its tag; `{tag}` stands for it. Nothing is silence.
pub type Script = dyn FnMut(&str) -> Option<String> + Send;

/// Listens until the test is over; answers with the port. A connection is greeted with `greeting`.
pub async fn server(
    greeting: &'static str,
    tls: Option<TlsAcceptor>,
    script: impl FnMut(&str) -> Option<String> + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(script)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (script, tls) = (script.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => converse(stream, greeting, script).await,
                    Some(tls) => converse(tls.accept(stream).await?, greeting, script).await,
                }
            });
        }
    });
    port
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    greeting: &str,
    script: Arc<Mutex<Box<Script>>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(greeting.as_bytes()).await?;
    stream.flush().await?;
    let (mut line, mut tag) = (String::new(), String::new());
    while stream.read_line(&mut line).await? > 0 {
        let said = line.trim_end();
        // A line without a tag goes on with the command before: an answer to a challenge, or DONE.
        let command = match said.split_once(' ') {
            Some((first, command)) => {
                first.clone_into(&mut tag);
                command
            }
            None => said,
        };
        let answer = script.lock().unwrap()(command);
        if let Some(answer) = answer {
            stream.write_all(answer.replace("{tag}", &tag).as_bytes()).await?;
            stream.flush().await?;
        }
        line.clear();
    }
    Ok(())
}
