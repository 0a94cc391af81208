//! A file that came with a message, read on request.

use rmcp::model::ReadResourceResult;

use super::super::{
    failure::Failure,
    present::{self, AttachmentView, Clip, Fence},
    server::Rooms,
};
use crate::{
    bell::upstream::{ATTACHMENT_BYTES_MAX, UpstreamError},
    domain::id::MessageId,
};

/// The file of message `id` that comes as `number`, from 1. The message is one that the caller may see.
pub(super) async fn read(
    rooms: &Rooms,
    fence: &Fence,
    uri: &str,
    id: &MessageId,
    number: usize,
) -> Result<ReadResourceResult, Failure> {
    let email = rooms.upstream.read_email(id).await?;
    let found = number.checked_sub(1).and_then(|index| Some((index, email.attachments.get(index)?)));
    let (index, file) = found.ok_or_else(|| UpstreamError::NoAttachment(id.clone(), number))?;
    let view = AttachmentView::new(fence, id, number, file, Clip::WHOLE.text_chars);
    if file.size_bytes > ATTACHMENT_BYTES_MAX as u64 {
        let url = match rooms.upstream.attachment_link(&email, file).await {
            Ok(url) => Some(url),
            Err(UpstreamError::NotOffered(_)) => None,
            Err(error) => return Err(error.into()),
        };
        return Ok(present::large_file(fence, uri, view, url.as_ref()));
    }
    let bytes = rooms.upstream.attachment(&email, index).await?;
    Ok(present::file(fence, uri, view, &file.content_type, &bytes))
}
