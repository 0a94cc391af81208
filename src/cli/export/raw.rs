//! `mailbell export --raw`: the raw mail, each message in a file as it came, for another program to keep or to read.

use std::{
    fs::{self, DirBuilder},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use serde_json::json;

use super::super::{
    Failure,
    answer::{say_json, tell},
    exit::Uneasy,
};
use crate::{
    app::data_dir::DataDir,
    mail::blobs,
    store::mail::{
        carried,
        raw_copy::{RawCopy, RawMessage},
    },
};

/// How many messages are listed at a time. Of their bytes, one message's are in memory.
const PAGE: u32 = 500;

/// What was done.
#[derive(Default)]
struct Done {
    written: u64,
    there: u64,
    missing: u64,
}

/// Writes the raw mail of `dir`, of `mailbox` where one is named, into the directory `to`, and a line about each message.
pub(super) async fn run(dir: &DataDir, to: &Path, mailbox: Option<&str>, is_json: bool) -> Result<(), Failure> {
    let database = dir.mail_db();
    if !database.exists() {
        return Err(format!(
            "there is no mail service in {}, so no raw mail: with mail.base_url it is where the mail is",
            dir.root().display()
        )
        .into());
    }
    // Mail is its owner's alone, as in the data directory.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(to);
    made.map_err(|error| format!("could not make the directory {}: {error}", to.display()))?;
    let mut copy = RawCopy::open(&database).await?;
    let (mut done, mut after) = (Done::default(), 0);
    loop {
        let page = copy.page(after, mailbox, PAGE).await?;
        for message in &page {
            one(&mut copy, dir, to, message, &mut done).await?;
            after = message.seq;
        }
        if page.len() < PAGE as usize {
            break;
        }
    }
    let Done { written, there, missing } = done;
    tell(if is_json {
        json!({ "written": written, "already_there": there, "missing": missing }).to_string()
    } else {
        format!("mailbell: {written} messages written to {}, {there} were there already", to.display())
    });
    if missing > 0 {
        let says = format!("the raw bytes of {missing} messages are missing; see `mailbell doctor`, and a backup");
        return Err(Box::new(Uneasy(says)));
    }
    Ok(())
}

async fn one(
    copy: &mut RawCopy,
    dir: &DataDir,
    to: &Path,
    message: &RawMessage,
    done: &mut Done,
) -> Result<(), Failure> {
    let RawMessage { id, mailbox, direction, received_at, name, .. } = message;
    // An id comes from a row; one that is none of ours must not become a path.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(format!("a message's id is {id:?}, which cannot be the name of a file").into());
    }
    let file = to.join(format!("{id}.eml"));
    if file.exists() {
        done.there += 1;
        return Ok(());
    }
    let bytes = match copy.bytes(name).await? {
        Some(bytes) => Some(bytes),
        None => file_of(dir, name)?,
    };
    let Some(bytes) = bytes else {
        // Retention may have removed the message since it was listed.
        if carried::has_raw(&dir.mail_db(), name).await? {
            tell(format!("mailbell: the raw bytes of {id} are missing"));
            done.missing += 1;
        }
        return Ok(());
    };
    // Whole under its name or not at all, so that an export that was cut off can be done again.
    let mut part = tempfile::NamedTempFile::new_in(to)?;
    part.write_all(&bytes)?;
    part.persist(&file).map_err(|error| format!("could not write {}: {}", file.display(), error.error))?;
    done.written += 1;
    say_json(json!({ "message_id": id, "mailbox": mailbox, "direction": direction, "received_at": received_at,
        "bytes": bytes.len(), "file": file }))
}

fn file_of(dir: &DataDir, name: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(blobs::path(&dir.blobs(), name)?) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        bytes => bytes.map(Some),
    }
}
