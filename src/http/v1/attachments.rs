//! `/v1/mailboxes/{mailbox}/emails/{email}/attachments/{filename}`: bytes that a stranger sent.
//!
//! They are for saving, never for showing: whatever they are, a browser is told to store them, not to guess at them,
//! and to run nothing in them. What a browser would run is not even called by its name.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Done, Failure},
    auth::Caller,
    input::{At, Query},
};
use crate::{
    domain::{clock::UnixMillis, id::MessageId},
    mail::api::{Api, LINK_LIFE, Link},
};

/// The parameter of a link's end, in Unix milliseconds.
const EXPIRES: &str = "expires";
/// The parameter of a link's signature.
pub(super) const SIGNATURE: &str = "signature";
/// Types that a browser would run, and what they are called instead.
const ACTIVE: [&str; 6] = ["html", "xml", "svg", "javascript", "ecmascript", "x-shockwave-flash"];
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
    (header::CACHE_CONTROL, "private, no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What a link carries in the place of a key.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Signed {
    /// The link's end, in Unix milliseconds.
    expires: Option<String>,
    signature: Option<String>,
}

/// A file, under its own media type.
pub(super) struct FileBytes(Response);

impl IntoResponse for FileBytes {
    fn into_response(self) -> Response {
        self.0
    }
}

/// Where a file's bytes are to be had without a key, for a while.
#[derive(Serialize, JsonSchema)]
pub(super) struct FileLink {
    url: String,
    filename: String,
    name: String,
    size_bytes: u64,
    size: u64,
    content_type: String,
    /// In seconds.
    expires_in: u64,
}

/// The bytes. The caller shows a key, or a link that [`link`] made.
pub(super) async fn bytes(
    State(api): State<Arc<Api>>,
    caller: Result<Caller, Failure>,
    At((mailbox, email, name)): At<(String, String, String)>,
    Query(signed): Query<Signed>,
) -> Result<FileBytes, Failure> {
    let id = MessageId::new(email);
    let (file, bytes) = match (caller, signed.signature) {
        (Ok(Caller(key)), _) => api.attachment(&key, &mailbox, &id, &name).await?,
        (Err(_), Some(signature)) => {
            let expires = signed.expires.and_then(|millis| millis.parse().ok()).unwrap_or(0);
            let link = Link { expires: UnixMillis(expires), signature };
            api.attachment_by_link(&mailbox, &id, &name, &link).await?
        }
        (Err(failure), None) => return Err(failure),
    };
    let mut response = (HEADERS, bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type(&file.content_type));
    headers.insert(header::CONTENT_DISPOSITION, disposition(&file.name));
    Ok(FileBytes(response))
}

/// A URL that fetches the bytes without a key, for a while.
pub(super) async fn link(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email, name)): At<(String, String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Done<FileLink>, Failure> {
    let id = MessageId::new(email);
    let (file, mailbox, Link { expires, signature }) = api.attachment_link(&key, &mailbox, &id, &name).await?;
    // The gate has seen that we may be called so.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(axum::http::uri::Authority::as_str)).unwrap_or("localhost");
    let mut url: url::Url = format!("http://{host}").parse().map_err(|_| Failure::ForeignHost)?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.extend(["v1", "mailboxes", mailbox.as_str(), "emails", id.as_str(), "attachments", &file.name]);
    }
    url.query_pairs_mut().append_pair(EXPIRES, &expires.0.to_string()).append_pair(SIGNATURE, &signature);
    Ok(Answer(FileLink {
        url: url.into(),
        filename: file.name.clone(),
        name: file.name,
        size_bytes: file.size_bytes,
        size: file.size_bytes,
        content_type: file.content_type,
        expires_in: LINK_LIFE.as_secs(),
    }))
}

/// What the file says it is, unless that is no media type or one that a browser would run.
fn content_type(said: &str) -> HeaderValue {
    let kind = said.to_ascii_lowercase();
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let well_formed = kind.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    let active = ACTIVE.iter().any(|word| kind.contains(word));
    if !well_formed || active {
        return BYTES;
    }
    HeaderValue::from_str(&kind).unwrap_or(BYTES)
}

/// `attachment` with the name in both forms (RFC 6266): one that every client reads, one that loses nothing.
fn disposition(name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|c| if (c.is_ascii_graphic() || c == ' ') && !"\"\\%".contains(c) { c } else { '_' })
        .collect();
    let mut exact = String::new();
    for byte in name.bytes() {
        // RFC 8187 section 3.2.1.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            exact.push(char::from(byte));
        } else {
            // Writing to a text never fails.
            let _ = write!(exact, "%{byte:02X}");
        }
    }
    let whole = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}");
    HeaderValue::from_str(&whole).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_browser_runs_keeps_its_type() {
        for (said, sent) in [
            ("application/pdf", "application/pdf"),
            ("Image/PNG", "image/png"),
            ("text/html", "application/octet-stream"),
            ("application/xhtml+xml", "application/octet-stream"),
            ("image/svg+xml", "application/octet-stream"),
            ("text/javascript", "application/octet-stream"),
            ("text/plain; charset=x", "application/octet-stream"),
            ("nonsense", "application/octet-stream"),
            ("a/b\r\nX: y", "application/octet-stream"),
        ] {
            assert_eq!(content_type(said), sent, "{said:?}");
        }
    }

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(
            disposition("a\"b\r\nX: ü.txt").to_str().expect("text"),
            "attachment; filename=\"a_b__X: _.txt\"; filename*=UTF-8''a%22b%0D%0AX%3A%20%C3%BC.txt"
        );
    }
}
