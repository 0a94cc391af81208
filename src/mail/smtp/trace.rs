//! What is put before a message: who handed it over, how and when (RFC 5321 section 4.4).

use std::net::IpAddr;

use super::session::HandedOver;
use crate::domain::clock::UnixMillis;

/// The longest name that a peer gives itself that is repeated, in bytes: the longest domain.
const NAME_BYTES_MAX: usize = 255;

/// `Return-Path` and `Received`.
pub(super) fn trace(how: &HandedOver<'_>, peer: IpAddr, hostname: &str, now: UnixMillis) -> Vec<u8> {
    let HandedOver { from, hello, with } = how;
    let name = hello.unwrap_or("unknown");
    let plain = |c: char| if c.is_ascii_graphic() && !"()<>;\\\"".contains(c) { c } else { '?' };
    let name: String = name.chars().take(NAME_BYTES_MAX).map(plain).collect();
    let address = match peer.to_canonical() {
        IpAddr::V4(peer) => format!("[{peer}]"),
        IpAddr::V6(peer) => format!("[IPv6:{peer}]"),
    };
    format!(
        "Return-Path: <{from}>\r\nReceived: from {name} ({address})\r\n\tby {hostname} (mailbell) with {with};\r\n\t{}\r\n",
        date(now)
    )
    .into_bytes()
}

/// A date as RFC 5322 section 3.3 writes it, in UTC.
fn date(at: UnixMillis) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// How many servers say that they have received `message`.
pub(super) fn received_count(message: &[u8]) -> usize {
    message
        .split(|byte| *byte == b'\n')
        .take_while(|line| !line.trim_ascii_end().is_empty())
        .filter(|line| line.get(..9).is_some_and(|name| name.eq_ignore_ascii_case(b"received:")))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_says_who_how_and_when_and_nothing_of_the_peers_can_break_out() {
        let how = HandedOver { from: "ann@a.test", hello: Some("mx(evil);\r\nX: y"), with: "ESMTP" };
        let now = UnixMillis(1_795_514_400_123);
        let text = trace(&how, "::ffff:10.0.0.1".parse().expect("an address"), "mailbell.test", now);
        assert_eq!(
            String::from_utf8(text).expect("text"),
            "Return-Path: <ann@a.test>\r\nReceived: from mx?evil????X:?y ([10.0.0.1])\r\n\tby mailbell.test (mailbell) \
             with ESMTP;\r\n\tTue, 24 Nov 2026 10:00:00 +0000\r\n"
        );
    }

    #[test]
    fn only_the_header_counts() {
        assert_eq!(received_count(b"Received: a\r\n b\r\nRECEIVED: c\r\nX: y\r\n\r\nReceived: d\r\n"), 2);
        assert_eq!(received_count(b""), 0);
    }
}
