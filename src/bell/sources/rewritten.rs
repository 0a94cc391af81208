//! Bodies that were written anew on their way: by a proxy that parses JSON, or an editor of line ends.
//!
//! Whether that is so is only looked at once a signature does not fit, for the operator to read. The request is refused all
//! the same: what was signed is what counts.

use super::{Dialect, Keys, RawRequest};
use crate::domain::clock::UnixMillis;

/// Larger bodies are not looked at: each likely original costs a signature.
const BODY_BYTES_MAX: usize = 256 << 10;

/// Whether the signature of a request fits what its body was, before somebody changed blanks or line ends.
pub(in super::super) fn is_rewritten(
    dialect: &dyn Dialect,
    request: &RawRequest,
    keys: &Keys<'_>,
    now: UnixMillis,
) -> bool {
    let body = &request.body;
    if body.len() > BODY_BYTES_MAX {
        return false;
    }
    let trimmed = body.trim_ascii();
    let line_feeds: Vec<u8> = body.iter().copied().filter(|byte| *byte != b'\r').collect();
    let originals = [
        trimmed.to_vec(),
        [trimmed, b"\n"].concat(),
        [trimmed, b"\r\n"].concat(),
        compact(body),
        line_feeds.iter().flat_map(|byte| if *byte == b'\n' { vec![b'\r', b'\n'] } else { vec![*byte] }).collect(),
        line_feeds,
    ];
    originals.into_iter().filter(|original| original != body).any(|original| {
        let request = RawRequest { body: original, headers: request.headers.clone(), token: request.token.clone() };
        dialect.verify(&request, keys, now).is_ok()
    })
}

/// Without the blanks that are in no string, as most senders write JSON.
fn compact(body: &[u8]) -> Vec<u8> {
    let (mut quoted, mut escaped) = (false, false);
    let mut kept = Vec::with_capacity(body.len());
    for &byte in body {
        if byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && byte == b'\\' && !escaped;
        if quoted || !byte.is_ascii_whitespace() {
            kept.push(byte);
        }
    }
    kept
}
