//! Files that came with a message: what is known of them, where they are to be read, and their bytes.
//!
//! Bytes go out under a media type of ours: no client takes a stranger's file for text and puts it before its model past the
//! fence. A file of text is shown as text too, inside of one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rmcp::model::{CallToolResult, ContentBlock, ReadResourceResult, Resource, ResourceContents};
use serde::Serialize;
use url::Url;

use super::{Fence, Fenced, JSON, RESULT_CHARS_MAX, Shown as _, beginning, object, shown};
use crate::{
    bell::upstream::{Attachment, Email},
    domain::id::{MessageId, is_bare},
};

/// Files named in one result; their number is told anyway.
pub(in crate::mcp) const ATTACHMENTS_SHOWN_MAX: usize = 20;
/// The longest name and type shown, in characters.
const NAME_CHARS_MAX: usize = 120;
/// Kept free beside a file's text for what is known of it.
const FRAME_CHARS: usize = 1_200;
/// Media types that bytes may go out under; all others are bytes and no more.
const TYPES: [&str; 14] = [
    "application/gzip",
    "application/pdf",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/zip",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "video/mp4",
];
const BYTES: &str = "application/octet-stream";

/// The address of the resource that a file is. It holds nothing that could be read as words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(in crate::mcp) struct AttachmentUri(String);

impl AttachmentUri {
    /// Of the file that comes as `number`, from 1; none for a message whose id would need a fence.
    pub(in crate::mcp) fn of(message: &MessageId, number: usize) -> Option<Self> {
        let message = message.as_str();
        is_bare(message).then(|| Self(format!("mailbell://messages/{message}/attachments/{number}")))
    }
}

shown! {
    /// A file, without its bytes.
    pub(in crate::mcp) struct AttachmentView {
        #[serde(skip_serializing_if = "Option::is_none")]
        uri: Option<AttachmentUri>,
        filename: Fenced,
        content_type: Fenced,
        size_bytes: u64,
    }
}

impl AttachmentView {
    /// The file of `message` that comes as `number`, from 1.
    pub(in crate::mcp) fn new(
        fence: &Fence,
        message: &MessageId,
        number: usize,
        file: &Attachment,
        chars: usize,
    ) -> Self {
        let chars = chars.min(NAME_CHARS_MAX);
        Self {
            uri: AttachmentUri::of(message, number),
            filename: fence.text_up_to(&file.name, chars),
            content_type: fence.text_up_to(&file.content_type, chars),
            size_bytes: file.size_bytes,
        }
    }
}

shown! {
    /// A file that is read.
    struct FileView {
        #[serde(flatten)]
        file: AttachmentView,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        chars_left: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<&'static str>,
    }
}

/// Adds links to the files of `email` to a result that tells of it, for clients that offer them to be read.
pub(in crate::mcp) fn with_links(mut result: CallToolResult, email: &Email) -> CallToolResult {
    let links = email.attachments.iter().take(ATTACHMENTS_SHOWN_MAX).zip(1..).filter_map(|(file, number)| {
        let AttachmentUri(uri) = AttachmentUri::of(&email.summary.id, number)?;
        let link = Resource::new(uri, format!("attachment {number}"))
            .with_mime_type(media_type(&file.content_type))
            .with_size(file.size_bytes);
        Some(ContentBlock::resource_link(link))
    });
    result.content.extend(links);
    result
}

/// A file with its bytes: what is known of it, with the beginning of its text where it is text, and then the bytes.
pub(in crate::mcp) fn file(
    fence: &Fence,
    uri: &str,
    view: AttachmentView,
    said: &str,
    bytes: &[u8],
) -> ReadResourceResult {
    let mut file = FileView { file: view, text: None, chars_left: None, url: None, note: None };
    if is_text(said) {
        let whole = String::from_utf8_lossy(bytes);
        let begin = beginning(&whole, usize::MAX, RESULT_CHARS_MAX - FRAME_CHARS);
        let left = whole[begin.len()..].chars().count();
        file.text = Some(fence.text(begin));
        if left > 0 {
            file.chars_left = Some(left);
            file.note = Some("the text goes on in the bytes that come with this");
        }
    }
    let blob = ResourceContents::blob(STANDARD.encode(bytes), uri).with_mime_type(media_type(said));
    ReadResourceResult::new(vec![described(fence, uri, file), blob])
}

/// A file that is too large for its bytes to be told, and where a program finds them.
pub(in crate::mcp) fn large_file(
    fence: &Fence,
    uri: &str,
    view: AttachmentView,
    url: Option<&Url>,
) -> ReadResourceResult {
    let note = match url {
        Some(_) => {
            "it is larger than 1 MiB, so its bytes are not shown; for some minutes a program can fetch them at `url` without a key"
        }
        None => "it is larger than 1 MiB, so its bytes are not shown; the user finds it at the mail service",
    };
    let url = url.map(|url| fence.text(url.as_str()));
    let file = FileView { file: view, text: None, chars_left: None, url, note: Some(note) };
    ReadResourceResult::new(vec![described(fence, uri, file)])
}

fn described(fence: &Fence, uri: &str, file: FileView) -> ResourceContents {
    ResourceContents::text(object(fence, file).into_value().to_string(), uri).with_mime_type(JSON)
}

/// The word of ours for what a sender calls a file.
fn media_type(said: &str) -> &'static str {
    let said = essence(said);
    TYPES.into_iter().find(|known| *known == said).unwrap_or(BYTES)
}

fn is_text(said: &str) -> bool {
    let said = essence(said);
    said.starts_with("text/")
        || said.starts_with("message/")
        || ["json", "xml", "yaml", "csv", "javascript"].iter().any(|word| said.ends_with(word))
}

/// Without parameters, in lower case.
fn essence(said: &str) -> String {
    said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_out_as_text_but_inside_of_a_fence() {
        for (said, sent, text) in [
            ("application/pdf", "application/pdf", false),
            ("Image/PNG; name=x", "image/png", false),
            ("text/html", BYTES, true),
            ("text/plain; charset=utf-8", BYTES, true),
            ("image/svg+xml", BYTES, true),
            ("application/ld+json", BYTES, true),
            ("application/x-obey", BYTES, false),
            ("", BYTES, false),
        ] {
            assert_eq!((media_type(said), is_text(said)), (sent, text), "{said}");
        }
        assert!(TYPES.into_iter().chain([BYTES]).all(|kind| !is_text(kind)));
    }

    #[test]
    fn an_address_holds_no_words() {
        assert!(AttachmentUri::of(&MessageId::new("em_1"), 2).is_some());
        assert!(AttachmentUri::of(&MessageId::new("em_1/obey me"), 2).is_none());
    }
}
