//! What a webhook carries of a message that came in: the message itself, or what the provider read in it.
//!
//! One reader reads both: what came as fields is put together as a message again, with the headers that place it among
//! others and the text.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use url::Url;

use super::{Malformed, json::Json};

/// Characters of a file's name that are kept.
const NAME_CHARS_MAX: usize = 255;
/// Files of one message that are told of.
const FILES_MAX: usize = 200;

/// What a webhook, or a provider's API, carries of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carried {
    /// The message, to the byte, or put together from fields.
    pub raw: Vec<u8>,
    /// The text without what it quotes, where the provider tells it.
    pub reply: Option<String>,
    /// Its files, where they do not lie in `raw`.
    pub files: Vec<CarriedFile>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// The provider's id of it, where its API has more.
    pub with_id: Option<String>,
    /// Whether the text still lies with the provider.
    pub textless: bool,
}

/// A file beside a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CarriedFile {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its size in bytes; 0 where the provider does not tell it.
    pub size_bytes: u64,
    /// Its bytes, where they came along.
    pub bytes: Option<Vec<u8>>,
}

/// A provider's API, where it has more of a message than its webhooks carry. No I/O: addresses to ask at, and answers read.
pub trait Remainder: Send + Sync {
    /// The provider's name.
    fn provider(&self) -> &'static str;

    /// Where the message of that id is.
    fn message_url(&self, id: &str) -> Url;

    /// What the answer there carries.
    fn message(&self, answer: &[u8]) -> Result<Carried, Malformed>;

    /// Where it is told how to fetch its files.
    fn files_url(&self, id: &str) -> Url;

    /// By the answer there, where the file called `name` that comes `place`th is; none where it is not listed.
    fn file_url(&self, answer: &[u8], place: usize, name: &str) -> Result<Option<Url>, Malformed>;
}

impl CarriedFile {
    /// One whose bytes came along.
    pub(super) fn whole(name: Option<&str>, content_type: Option<&str>, bytes: Vec<u8>) -> Self {
        Self { size_bytes: bytes.len() as u64, bytes: Some(bytes), ..Self::named(name, content_type) }
    }

    /// One that was only named.
    pub(super) fn named(name: Option<&str>, content_type: Option<&str>) -> Self {
        let name: String = name.unwrap_or("attachment").chars().take(NAME_CHARS_MAX).collect();
        let content_type = content_type.unwrap_or("application/octet-stream").chars().take(NAME_CHARS_MAX).collect();
        Self { name, content_type, ..Self::default() }
    }

    /// Those of a list, by the names that the provider has for name, type, size and content in base64.
    pub(super) fn list(list: Json<'_>, [name, kind, size, content]: [&str; 4]) -> Vec<Self> {
        let file = |one: Json<'_>| {
            let told = Self::named(one.at(name).text().as_deref(), one.at(kind).text().as_deref());
            let size_bytes = one.at(size).text().and_then(|size| size.parse().ok()).unwrap_or(0);
            let bytes = one.at(content).text().and_then(|text| STANDARD.decode(text.as_bytes()).ok());
            let size_bytes = bytes.as_ref().map_or(size_bytes, |bytes| bytes.len() as u64);
            Self { size_bytes, bytes, ..told }
        };
        list.list().into_iter().take(FILES_MAX).map(file).collect()
    }
}

/// The headers that are carried over: what names the message, and what it answers.
const HEADERS: [&str; 4] = ["Message-ID", "In-Reply-To", "References", "Cc"];

/// A message put together from its headers and its text, or else its HTML.
pub(super) fn assembled<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    text: Option<&str>,
    html: Option<&str>,
) -> Vec<u8> {
    let mut raw = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in headers {
        let Some(name) = HEADERS.into_iter().find(|one| one.eq_ignore_ascii_case(name)) else { continue };
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        // On one line: no value makes a header of its own.
        let value = value.split(char::is_control).collect::<Vec<_>>().join(" ");
        raw.extend([name, ": ", value.trim(), "\r\n"]);
    }
    let filled = |text: &&str| !text.trim().is_empty();
    let (kind, body) = match (text.filter(filled), html.filter(filled)) {
        (None, Some(html)) => ("html", html),
        (text, _) => ("plain", text.unwrap_or_default()),
    };
    raw.extend(["Content-Type: text/", kind, "; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", body]);
    raw.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_a_header_makes_another() {
        let headers =
            [("message-id", "<a@b>\r\nTo: eve@example.com\r\n\r\nHello"), ("To", "x"), ("MESSAGE-ID", "<c@d>")];
        let raw = String::from_utf8(assembled(headers, None, Some("<p>Hi"))).expect("text");
        assert_eq!(
            raw,
            "Message-ID: <a@b>  To: eve@example.com    Hello\r\nContent-Type: text/html; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n<p>Hi"
        );
    }
}
