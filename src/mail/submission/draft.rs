//! From what was asked for to a message on disk: who it is for, what it says, its bytes.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Submission, SubmitError};
use crate::{
    domain::{
        address::Address,
        clock::UnixMillis,
        id::{MessageId, ThreadId},
        message::{Direction, Mailbox, Message, MessageSummary, Status},
    },
    mail::{
        blobs,
        compose::{Automatic, Draft, File, compose},
        markdown, mime,
        tracking::with_image,
    },
    store::mailroom::Raw,
};

/// Recipients of one message, as the service documents it.
pub const RECIPIENTS_MAX: usize = 50;
/// Characters of a subject (RFC 5322 section 2.1.1).
pub const SUBJECT_CHARS_MAX: usize = 998;
/// Bytes of a text in Markdown, as the service documents it: 256 KiB.
pub const MARKDOWN_BYTES_MAX: usize = 262_144;
/// Files of one message.
pub const ATTACHMENTS_MAX: usize = 50;
/// Characters of a file's name or media type.
const NAME_CHARS_MAX: usize = 255;

/// A file as it was given.
#[derive(Debug, Clone)]
pub struct GivenFile {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its bytes, in Base64.
    pub content_base64: String,
}

/// Whom a message is for.
#[derive(Debug, Clone)]
pub(super) struct People {
    pub(super) to: Vec<Address>,
    pub(super) cc: Vec<Address>,
    /// Everybody, blind copies included, each once.
    pub(super) all: Vec<Address>,
}

impl People {
    pub(super) fn read(to: &[String], cc: &[String], bcc: &[String]) -> Result<Self, SubmitError> {
        let read = |name: &str, texts: &[String]| -> Result<Vec<Address>, SubmitError> {
            texts.iter().map(|text| address(name, text)).collect()
        };
        let (to, cc, bcc) = (read("to", to)?, read("cc", cc)?, read("bcc", bcc)?);
        if to.is_empty() {
            return Err(SubmitError::Invalid("`to` must name at least one address".into()));
        }
        let mut all: Vec<Address> = Vec::new();
        for address in to.iter().chain(&cc).chain(&bcc) {
            if !all.contains(address) {
                all.push(address.clone());
            }
        }
        if all.len() > RECIPIENTS_MAX {
            return Err(SubmitError::Invalid(format!(
                "a message has {RECIPIENTS_MAX} recipients at most, to, cc and bcc together; this has {}",
                all.len()
            )));
        }
        Ok(Self { to, cc, all })
    }
}

/// An address, bare or in the angle brackets behind a name.
fn address(name: &str, text: &str) -> Result<Address, SubmitError> {
    let trimmed = text.trim();
    let bare = trimmed.rsplit_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or(trimmed);
    bare.trim().parse().map_err(|error| {
        let shown: String = text.chars().take(80).filter(|char| !char.is_control()).collect();
        SubmitError::Invalid(format!("`{name}` holds `{shown}`: {error}"))
    })
}

/// What a message is made of.
pub(super) struct Making {
    pub(super) id: MessageId,
    pub(super) mailbox: Mailbox,
    pub(super) people: People,
    pub(super) subject: String,
    pub(super) markdown: String,
    pub(super) files: Vec<GivenFile>,
    pub(super) internet_id: String,
    pub(super) in_reply_to: Option<String>,
    pub(super) references: Vec<String>,
    pub(super) auto: Automatic,
    /// Whether its text is all of it.
    pub(super) text_only: bool,
    /// Whether it carries a tracking image; as its mailbox has it otherwise.
    pub(super) track_opens: Option<bool>,
    /// Whether its head says that an AI wrote it.
    pub(super) ai_disclosure: bool,
    pub(super) thread: ThreadId,
    pub(super) status: Status,
    pub(super) at: UnixMillis,
}

/// A message and its raw bytes.
pub(super) struct Made {
    pub(super) message: Message,
    pub(super) raw: Raw,
}

impl Submission {
    /// Composes a message and writes its bytes.
    pub(super) async fn make(&self, making: Making) -> Result<Made, SubmitError> {
        check(&making.subject, &making.markdown, &making.files)?;
        let image = self.image(&making).await?;
        let bytes_max = self.with.message_bytes_max;
        // Base64 and HTML of megabytes take their time.
        let composing = tokio::task::spawn_blocking(move || composed(making, image.as_deref(), bytes_max));
        let (raw, message) = composing.await.map_err(|_| SubmitError::Compose)??;
        let name = blobs::new_name(&self.with.ids, self.with.clock.now());
        let raw = self.with.blobs.put(Arc::new(raw), name).await?;
        Ok(Made { message, raw })
    }

    /// The tracking image that the message is to carry, if it is. All recipients get the same bytes, so the image tells who
    /// opened the message only where there is one of them.
    async fn image(&self, making: &Making) -> Result<Option<String>, SubmitError> {
        let tracking = &self.with.tracking;
        if !tracking.is_wanted(&making.mailbox.id, making.track_opens).await? {
            return Ok(None);
        }
        let only = match making.people.all.as_slice() {
            [only] => Some(only.as_str()),
            _ => None,
        };
        Ok(Some(tracking.image_for(&making.mailbox.id, &making.id, only).await?))
    }
}

pub(super) fn check(subject: &str, markdown: &str, files: &[GivenFile]) -> Result<(), SubmitError> {
    let invalid = |text: String| Err(SubmitError::Invalid(text));
    if subject.chars().count() > SUBJECT_CHARS_MAX || subject.chars().any(char::is_control) {
        return invalid(format!("`subject` has at most {SUBJECT_CHARS_MAX} characters and no line breaks"));
    }
    if markdown.len() > MARKDOWN_BYTES_MAX {
        return invalid(format!("`markdown` has {MARKDOWN_BYTES_MAX} bytes at most; send the rest as an attachment"));
    }
    if markdown.trim().is_empty() {
        return invalid("`markdown` is empty; write the text of the message".into());
    }
    if files.len() > ATTACHMENTS_MAX {
        return invalid(format!("a message has {ATTACHMENTS_MAX} attachments at most"));
    }
    for file in files {
        let plain = |text: &str| {
            !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.chars().any(char::is_control)
        };
        // A media type goes into a header as it is.
        let kind = file.content_type.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/.+-_;= \"".contains(&byte));
        if !plain(&file.name) || !plain(&file.content_type) || !kind || !file.content_type.contains('/') {
            return invalid(
                "an attachment has a `name` and a `content_type` such as application/pdf, of 255 characters at most, \
                 and its bytes in `content_base64`"
                    .into(),
            );
        }
    }
    Ok(())
}

fn composed(making: Making, image: Option<&str>, bytes_max: usize) -> Result<(Vec<u8>, Message), SubmitError> {
    let mut files = Vec::with_capacity(making.files.len());
    for file in &making.files {
        let bytes =
            STANDARD.decode(file.content_base64.split_ascii_whitespace().collect::<String>()).map_err(|_| {
                SubmitError::Invalid(format!("the `content_base64` of the attachment `{}` is no Base64", file.name))
            })?;
        files.push(bytes);
    }
    let given: Vec<File<'_>> = making
        .files
        .iter()
        .zip(&files)
        .map(|(file, bytes)| File { name: &file.name, content_type: &file.content_type, bytes })
        .collect();
    let html = markdown::html(&making.markdown);
    let html = image.map_or_else(|| html.clone(), |url| with_image(&html, url));
    let raw = compose(&Draft {
        from: &making.mailbox.address,
        from_name: making.mailbox.display_name.as_deref(),
        to: &making.people.to,
        cc: &making.people.cc,
        subject: &making.subject,
        text: &making.markdown,
        html: (!making.text_only).then_some(&*html),
        auto: making.auto,
        ai_disclosure: making.ai_disclosure,
        date: making.at,
        internet_id: &making.internet_id,
        in_reply_to: making.in_reply_to.as_deref(),
        references: &making.references,
        files: &given,
    });
    if raw.len() > bytes_max {
        return Err(SubmitError::Invalid(format!(
            "the message has {} bytes once its attachments are encoded; {bytes_max} are allowed",
            raw.len()
        )));
    }
    let reading = mime::read(&raw);
    let summary = MessageSummary {
        id: making.id,
        mailbox_id: making.mailbox.id.clone(),
        thread_id: making.thread,
        direction: Direction::Outbound,
        status: making.status,
        from: making.mailbox.address.to_string(),
        from_name: making.mailbox.display_name,
        to: making.people.to.iter().map(ToString::to_string).collect(),
        cc: making.people.cc.iter().map(ToString::to_string).collect(),
        subject: making.subject,
        snippet: reading.snippet,
        received_at: making.at,
        auto: making.auto != Automatic::No,
        attachments: reading.attachments,
        tags: BTreeMap::new(),
        delivered_at: None,
        bounced: None,
        report: false,
    };
    Ok((raw, Message { summary, text: making.markdown, notes: Vec::new(), verdict: None }))
}
