//! A name server that knows a few TXT and MX records and nothing else.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::net::UdpSocket;

/// The server, answering.
pub struct Dns {
    pub addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Dns {
    /// One that knows `records`: names in lower case, without a dot at the end, and their text.
    pub async fn start(records: &[(&str, &str)]) -> Self {
        Self::with_mx(records, &[]).await
    }

    /// The same, with the hosts to which mail for some names goes.
    pub async fn with_mx(records: &[(&str, &str)], mx: &[(&str, &str)]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let records: BTreeMap<String, String> =
            records.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let mx: BTreeMap<String, String> =
            mx.iter().map(|(name, host)| ((*name).to_owned(), (*host).to_owned())).collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        tokio::spawn(async move {
            let mut query = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut query).await {
                let (name, end) = question(&query[..length]);
                seen.lock().unwrap().push(name.clone());
                let answer = answer(&query[..end], records.get(&name), mx.get(&name));
                socket.send_to(&answer, peer).await.unwrap();
            }
        });
        Self { addr, asked }
    }

    /// The names that it was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The name in a query, and where its question ends (RFC 1035 section 4.1.2).
fn question(query: &[u8]) -> (String, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    (labels.join("."), at + 5)
}

const MX: u8 = 15;
const TXT: u8 = 16;

/// The answer to a query that is cut after its question: what is asked for, or that there is no such name.
fn answer(query: &[u8], text: Option<&String>, mx: Option<&String>) -> Vec<u8> {
    let mut answer = query.to_vec();
    let kind = query[query.len() - 3];
    let mut data = Vec::new();
    let labels = |text: &str, data: &mut Vec<u8>, longest: usize| {
        for piece in text.as_bytes().chunks(longest) {
            data.push(u8::try_from(piece.len()).unwrap());
            data.extend_from_slice(piece);
        }
    };
    match (kind, text, mx) {
        (TXT, Some(text), _) => labels(text, &mut data, 255),
        (MX, _, Some(host)) => {
            data.extend([0, 10]);
            host.split('.').for_each(|label| labels(label, &mut data, 63));
            data.push(0);
        }
        _ => {}
    }
    let found = !data.is_empty();
    answer[2..4].copy_from_slice(if found { &[0x81, 0x80] } else { &[0x81, 0x83] });
    answer[4..12].copy_from_slice(&[0, 1, 0, u8::from(found), 0, 0, 0, 0]);
    if found {
        // The name of the question, its kind, IN, a minute.
        answer.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60]);
        answer.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        answer.extend_from_slice(&data);
    }
    answer
}
