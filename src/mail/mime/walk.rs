//! Walks the tree of parts: which of them are the text, and which are files.

use std::borrow::Cow;

use super::{
    Reading, decode,
    entity::Entity,
    limits::{DEPTH_MAX, FILE_NAME_CHARS_MAX, HTML_BYTES_MAX, LINE_CHARS_MAX, PARTS_MAX, TEXT_BYTES_MAX},
    multipart,
    snippet::snippet,
    text::{cut, many_lines, one_line, with_line_feeds},
    uuencode,
};
use crate::{domain::message::Attachment, mail::html};

/// Reads the text and the attachments of `root`.
pub(super) fn read(root: &Entity<'_>, reading: &mut Reading) {
    let mut walk = Walk::default();
    let mut blocks = walk.entity(root, Place::ROOT);
    // Where nothing else is text, what has a file name is shown, too.
    if !blocks.iter().any(|block| block.is_plain() || block.is_html()) {
        blocks.extend(walk.named_text.take());
    }
    reading.attachments = walk.files.into_iter().map(|file| file.attachment).collect();
    if walk.too_deep {
        reading.notes.push(format!("parts nested deeper than {DEPTH_MAX} were not read"));
    }
    if walk.too_many {
        reading.notes.push(format!("parts beyond the first {PARTS_MAX} were not read"));
    }
    join(blocks, reading);
}

/// The first attachment called `name` in `raw`, as [`super::read`] names it, with its bytes, decoded.
pub fn attachment(raw: &[u8], name: &str) -> Option<(Attachment, Vec<u8>)> {
    let mut walk = Walk { wanted: Some(name.to_owned()), ..Walk::default() };
    walk.entity(&Entity::root(&with_line_feeds(raw)), Place::ROOT);
    let file = walk.files.into_iter().find(|file| file.attachment.name == name)?;
    Some((file.attachment, file.bytes))
}

/// A piece of the text.
enum Block {
    Plain(String),
    Html(String),
}

impl Block {
    fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(text) if !text.trim().is_empty())
    }

    fn is_html(&self) -> bool {
        matches!(self, Self::Html(text) if !text.trim().is_empty())
    }
}

struct File {
    attachment: Attachment,
    /// Empty unless its bytes were asked for.
    bytes: Vec<u8>,
}

/// Where a part stands.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    /// In a `multipart/digest`, where a part that does not say what it is is a message (RFC 2046 section 5.1.5).
    in_digest: bool,
    /// Beside the first part of a `multipart/related`: what that one shows, such as images.
    is_related: bool,
}

impl Place {
    const ROOT: Self = Self { depth: 0, in_digest: false, is_related: false };
}

#[derive(Default)]
struct Walk {
    files: Vec<File>,
    parts: usize,
    too_deep: bool,
    too_many: bool,
    /// A multipart was decoded.
    unwrapped: bool,
    /// The first text that counts as a file only for its name.
    named_text: Option<Block>,
    /// The name of the attachment whose bytes are wanted.
    wanted: Option<String>,
}

impl Walk {
    /// The text of a part and of those within it; files are put aside.
    fn entity(&mut self, entity: &Entity<'_>, place: Place) -> Vec<Block> {
        self.parts += 1;
        let said = entity.media_type();
        let default = if place.in_digest { "message/rfc822" } else { "text/plain" };
        let kind = said.as_deref().unwrap_or(default);
        if let Some(subtype) = kind.strip_prefix("multipart/") {
            let decoded;
            let mut parts = self.parts_of(entity, entity.body);
            if parts.is_empty() && !self.unwrapped {
                // RFC 2045 section 6.4 forbids to encode a multipart; some do. Once in a message is enough, for each
                // is held in memory while its parts are read.
                self.unwrapped = true;
                decoded = decode::bytes(entity);
                parts = self.parts_of(entity, &decoded);
            }
            if !parts.is_empty() {
                return self.multipart(subtype, &parts, place);
            }
        }
        // A multipart without a part is shown as the text that it is, and so is text of a kind that nobody opens.
        let is_text = kind.starts_with("multipart/")
            || kind.starts_with("text/") && (kind == "text/plain" || kind == "text/html" || extension(kind) == "bin");
        let named_later = entity.file_name().is_some() && self.parts > 1;
        if is_text && !entity.is_attachment() && !place.is_related {
            let text = decode::text(entity);
            if named_later {
                self.named_text.get_or_insert_with(|| block(kind, text));
            } else if kind == "text/html" {
                return vec![block(kind, text)];
            } else {
                let (text, files) = uuencode::take_out(text);
                for (name, content) in files {
                    self.keep(Some(&name), "application/octet-stream", content.into());
                }
                return vec![Block::Plain(text)];
            }
        }
        self.keep(entity.file_name(), kind, decode::bytes(entity));
        Vec::new()
    }

    /// The parts of a multipart, as many as there is room for. One that does not name its boundary, or names another
    /// than it has, is cut where it looks like one.
    fn parts_of<'b>(&mut self, entity: &Entity<'_>, body: &'b [u8]) -> Vec<&'b [u8]> {
        let room = PARTS_MAX.saturating_sub(self.parts);
        let said = entity.parameter("boundary").map(str::trim_end).filter(|boundary| !boundary.is_empty());
        let mut parts = said.map(|boundary| multipart::parts(body, boundary.as_bytes(), room + 1)).unwrap_or_default();
        if let (true, Some(boundary)) = (parts.is_empty(), multipart::likely_boundary(body)) {
            parts = multipart::parts(body, boundary, room + 1);
        }
        if parts.len() > room {
            self.too_many = true;
            parts.truncate(room);
        }
        parts
    }

    fn multipart(&mut self, subtype: &str, parts: &[&[u8]], place: Place) -> Vec<Block> {
        if place.depth >= DEPTH_MAX {
            self.too_deep = true;
            return Vec::new();
        }
        let mut of_parts = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            if self.parts >= PARTS_MAX {
                self.too_many = true;
                break;
            }
            let place = Place {
                depth: place.depth + 1,
                in_digest: subtype == "digest",
                is_related: place.is_related || subtype == "related" && index > 0,
            };
            of_parts.push(self.entity(&Entity::of(part), place));
        }
        if subtype == "alternative" { chosen(of_parts) } else { of_parts.into_iter().flatten().collect() }
    }

    /// A name that no file before has: by its name each can be fetched.
    fn not_yet_taken(&self, name: String) -> String {
        let taken = |name: &str| self.files.iter().any(|file| file.attachment.name == name);
        if !taken(&name) {
            return name;
        }
        let (stem, ending) = match name.rfind('.') {
            Some(dot) if dot > 0 => name.split_at(dot),
            _ => (name.as_str(), ""),
        };
        // There are fewer files than numbers, so one is free.
        let first = self.files.len() + 1;
        let mut numbered = (first..=first + PARTS_MAX).map(|number| format!("{stem} ({number}){ending}"));
        numbered.find(|candidate| !taken(candidate)).unwrap_or(name)
    }

    /// Puts a file aside.
    fn keep(&mut self, name: Option<&str>, kind: &str, content: Cow<'_, [u8]>) {
        let number = self.files.len() + 1;
        let name = name.map(file_name).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| format!("attachment-{number}.{}", extension(kind)));
        let name = self.not_yet_taken(name);
        let size_bytes = content.len() as u64;
        let bytes = if self.wanted.as_deref() == Some(&name) { Cow::into_owned(content) } else { Vec::new() };
        let content_type = one_line(kind, LINE_CHARS_MAX);
        self.files.push(File { attachment: Attachment { name, content_type, size_bytes }, bytes });
    }
}

fn block(kind: &str, text: String) -> Block {
    if kind == "text/html" { Block::Html(text) } else { Block::Plain(text) }
}

/// Of several forms of the same content, the plain one, or else the HTML one. A plain form that is blank is no form.
fn chosen(mut forms: Vec<Vec<Block>>) -> Vec<Block> {
    let plain = forms.iter().position(|blocks| blocks.iter().any(Block::is_plain));
    let html = || forms.iter().position(|blocks| blocks.iter().any(Block::is_html));
    match plain.or_else(html) {
        Some(index) => forms.swap_remove(index),
        None => Vec::new(),
    }
}

/// Puts the text together, within its limits. The links of HTML are listed under it, and are no part of the snippet.
fn join(blocks: Vec<Block>, reading: &mut Reading) {
    let (mut bodies, mut whole, mut html_left) = (String::new(), String::new(), HTML_BYTES_MAX);
    let (mut html_cut, mut text_cut, mut hidden_chars) = (false, false, 0);
    for block in blocks {
        let (body, links) = match block {
            Block::Plain(text) => (text, String::new()),
            Block::Html(source) => {
                let kept = cut(&source, html_left);
                html_cut |= kept.len() < source.len();
                html_left -= kept.len();
                let html::Shown { text, links, hidden_chars: hidden } = html::to_text(kept);
                hidden_chars += hidden;
                (text, links)
            }
        };
        let kept = cut(&body, room(&whole));
        let clean = many_lines(kept);
        add(&mut whole, &clean);
        let links_kept = cut(&links, room(&whole));
        add(&mut whole, &many_lines(links_kept));
        text_cut |= kept.len() < body.len() || links_kept.len() < links.len();
        // Links may have taken the room of text that the snippet still has.
        let kept_for_snippet = cut(&body, room(&bodies));
        if kept_for_snippet.len() == kept.len() {
            add(&mut bodies, &clean);
        } else {
            add(&mut bodies, &many_lines(kept_for_snippet));
        }
    }
    if html_cut {
        reading.notes.push(format!("the HTML was cut at {} MiB", HTML_BYTES_MAX >> 20));
    }
    if hidden_chars > 0 {
        reading.notes.push(format!("{hidden_chars} characters of the HTML were left out: a reader would not see them"));
    }
    if text_cut {
        reading.notes.push(format!("the text was cut at {} MiB", TEXT_BYTES_MAX >> 20));
    }
    reading.snippet = snippet(&bodies);
    reading.text = whole;
}

/// How many bytes of text `whole` still takes.
fn room(whole: &str) -> usize {
    TEXT_BYTES_MAX.saturating_sub(whole.len())
}

/// Adds a paragraph to `whole`.
fn add(whole: &mut String, clean: &str) {
    let clean = clean.trim_end();
    if !whole.is_empty() && !clean.is_empty() {
        whole.push_str("\n\n");
    }
    whole.push_str(clean);
}

/// A file's name without the path that some senders put before it.
fn file_name(said: &str) -> String {
    let name = said.rsplit(['/', '\\']).next().unwrap_or("");
    one_line(name, FILE_NAME_CHARS_MAX)
}

/// What the name of an unnamed file of this type ends in.
fn extension(kind: &str) -> &'static str {
    match kind {
        "text/plain" | "text/rfc822-headers" | "message/delivery-status" | "message/feedback-report" => "txt",
        "text/html" => "html",
        "text/calendar" => "ics",
        "text/csv" => "csv",
        "text/vcard" | "text/x-vcard" => "vcf",
        "message/rfc822" | "message/global" => "eml",
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "image/svg+xml" => "svg",
        "application/pdf" => "pdf",
        "application/zip" => "zip",
        "application/json" => "json",
        "application/pgp-signature" => "asc",
        "application/pkcs7-signature" | "application/x-pkcs7-signature" => "p7s",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT_CUT: &str = "the text was cut at 1 MiB";

    /// The text, the snippet, and whether the text was cut, with each paragraph cleaned wherever it is added.
    fn joined_one_by_one(blocks: &[Block]) -> (String, String, bool) {
        let push = |whole: &mut String, text: &str| {
            let kept = cut(text, room(whole));
            add(whole, &many_lines(kept));
            kept.len() < text.len()
        };
        let (mut bodies, mut whole, mut is_cut) = (String::new(), String::new(), false);
        for block in blocks {
            let (body, links) = match block {
                Block::Plain(text) => (text.clone(), String::new()),
                Block::Html(source) => {
                    let shown = html::to_text(source);
                    (shown.text, shown.links)
                }
            };
            is_cut |= push(&mut whole, &body) | push(&mut whole, &links);
            push(&mut bodies, &body);
        }
        (whole, snippet(&bodies), is_cut)
    }

    fn joined(blocks: Vec<Block>) -> (String, String, bool) {
        let mut reading = Reading::default();
        join(blocks, &mut reading);
        let is_cut = reading.notes.iter().any(|note| note == TEXT_CUT);
        (reading.text, reading.snippet, is_cut)
    }

    fn with_link(text: &str) -> Block {
        Block::Html(format!("<p>{text} <a href=\"https://a.test/\">l</a></p>"))
    }

    #[test]
    fn links_take_no_room_of_the_snippet() {
        for left in [0, 10, 20, 200] {
            let blocks = || {
                let blanks = " ".repeat(TEXT_BYTES_MAX - left);
                vec![with_link("x"), Block::Plain(format!("a{blanks}b")), Block::Plain("c\r\n".into())]
            };
            assert!(joined(blocks()) == joined_one_by_one(&blocks()), "{left}");
        }
    }

    proptest! {
        #[test]
        fn text_is_the_same_however_often_it_is_cleaned(
            blocks in prop::collection::vec((any::<bool>(), "[aé \t\r\n\0\u{feff}]{0,12}"), 0..6),
        ) {
            let blocks = || {
                let block = |(linked, text): &(bool, String)| if *linked { with_link(text) } else { Block::Plain(text.clone()) };
                blocks.iter().map(block).collect::<Vec<_>>()
            };
            prop_assert_eq!(joined(blocks()), joined_one_by_one(&blocks()));
        }
    }
}
