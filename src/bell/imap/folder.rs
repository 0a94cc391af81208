//! What a reader asks about folders and the messages in them.

use std::{collections::HashMap, fmt::Write as _, time::Duration};

use async_imap::imap_proto::{
    AttributeValue, MailboxDatum, MessageSection, NameAttribute, Response, ResponseCode, SectionPath,
};

use super::{
    names::{quoted, spelled},
    session::{Budget, Session},
    trouble::Trouble,
};
use crate::domain::clock::UnixMillis;

/// A header beyond this is cut, in bytes; what the embedded service reads of one.
pub(super) const HEADER_BYTES_MAX: u32 = 256 << 10;
/// What is read of a text to tell messages apart, in bytes.
const TEXT_BYTES: u32 = 4096;
/// What stands around a message in an answer, in bytes.
const AROUND_BYTES: u64 = 64 << 10;
/// For a command that brings messages: 25 MB over a slow line.
const FETCH_TIME_MAX: Duration = Duration::from_mins(10);
/// Folders listed at most.
const FOLDERS_MAX: usize = 500;
/// Messages among which new ones are looked for at once: their UIDs are a tenth of the longest line that is read, and the client
/// crate reads a line anew with each 4 KiB of it.
const SEARCHED_MAX: u32 = 10_000;
/// New messages of a folder that are known of at once: some MB of memory.
const UIDS_MAX: usize = 2_000_000;

/// A folder of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// As the server spells it.
    pub(super) name: String,
    /// Whether the server says that what is sent is put there.
    pub(super) sent: bool,
}

/// An opened folder.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) exists: u32,
    pub(super) uid_validity: Option<u32>,
    pub(super) uid_next: Option<u32>,
}

/// A message by its beginning.
#[derive(Debug, Default, Clone)]
pub(super) struct Head {
    pub(super) uid: u32,
    /// In bytes, as the server says.
    pub(super) size: u32,
    pub(super) date: Option<UnixMillis>,
    pub(super) header: Vec<u8>,
    pub(super) text: Vec<u8>,
}

impl Session {
    /// Opens a folder: to be read alone, unless `writable`.
    pub(super) async fn examine(&mut self, folder: &str, writable: bool) -> Result<Opened, Trouble> {
        let verb = if writable { "SELECT" } else { "EXAMINE" };
        let mut opened = Opened::default();
        self.ask("opening a folder", &format!("{verb} {}", quoted(folder)), Budget::WORDS, |response| match response {
            Response::MailboxData(MailboxDatum::Exists(count)) => opened.exists = *count,
            Response::Data { outcome, .. } => match &outcome.code {
                Some(ResponseCode::UidValidity(validity)) => opened.uid_validity = Some(*validity),
                Some(ResponseCode::UidNext(next)) => opened.uid_next = Some(*next),
                _ => {}
            },
            _ => {}
        })
        .await?;
        (self.news, self.exists) = (false, opened.exists);
        Ok(opened)
    }

    /// The folders there.
    pub(super) async fn list(&mut self) -> Result<Vec<Folder>, Trouble> {
        self.listed(|_| true).await
    }

    /// Of some folders, those into which the server says that what is sent is put (RFC 6154).
    pub(super) async fn sent_among(&mut self, folders: &[&str]) -> Result<Vec<String>, Trouble> {
        let spelled: Vec<(String, &str)> = folders.iter().map(|folder| (spelled(folder), *folder)).collect();
        let is_asked = |name: &str| spelled.iter().find(|(spelling, _)| spelling == name);
        let sent = self.listed(|folder| folder.sent && is_asked(&folder.name).is_some()).await?;
        Ok(sent.iter().filter_map(|folder| Some(is_asked(&folder.name)?.1.to_owned())).collect())
    }

    async fn listed(&mut self, wanted: impl Fn(&Folder) -> bool) -> Result<Vec<Folder>, Trouble> {
        let mut folders = Vec::new();
        self.ask("listing folders", r#"LIST "" "*""#, Budget::WORDS, |response| {
            let Response::MailboxData(MailboxDatum::List(one)) = response else { return };
            let sent = one.name_attributes.contains(&NameAttribute::Sent);
            let folder = Folder { name: one.name.to_string(), sent };
            if folders.len() < FOLDERS_MAX && wanted(&folder) {
                folders.push(folder);
            }
        })
        .await?;
        Ok(folders)
    }

    /// The UIDs after `uid`, in their order.
    ///
    /// They are looked for among so many messages at once, the newest first, because the answer is one line. What is removed
    /// meanwhile has others move to lower numbers, which are looked at later.
    pub(super) async fn uids_after(&mut self, uid: u32) -> Result<Vec<u32>, Trouble> {
        let doing = "looking for new messages";
        let Some(first) = uid.checked_add(1) else { return Ok(Vec::new()) };
        let mut uids = Vec::new();
        let mut low = self.exists.saturating_sub(SEARCHED_MAX - 1).max(1);
        // `*` is the last message, so that those that come meanwhile are among them.
        let mut numbers = format!("{low}:*");
        loop {
            let mut found = 0;
            self.ask(doing, &format!("UID SEARCH {numbers} UID {first}:*"), Budget::WORDS, |response| {
                if let Response::MailboxData(MailboxDatum::Search(some)) = response {
                    // `*` is the last message, also where that comes before `first` (RFC 3501 section 6.4.8).
                    let some = some.iter().copied().filter(|one| *one > uid);
                    let before = uids.len();
                    uids.extend(some);
                    found += uids.len() - before;
                }
            })
            .await?;
            // UIDs rise with the numbers: where none is new, none before is.
            if found == 0 || low == 1 {
                break;
            }
            if uids.len() > UIDS_MAX {
                return Err(Trouble::Broken { doing, why: "it has more new messages than are read at once" });
            }
            let high = low - 1;
            low = high.saturating_sub(SEARCHED_MAX - 1).max(1);
            numbers = format!("{low}:{high}");
        }
        uids.sort_unstable();
        uids.dedup();
        Ok(uids)
    }

    /// The beginnings of some messages, by UID or else by their places in the folder.
    pub(super) async fn heads(&mut self, which: &str, by_uid: bool, count: usize) -> Result<Vec<Head>, Trouble> {
        let verb = if by_uid { "UID FETCH" } else { "FETCH" };
        let command = format!(
            "{verb} {which} (UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER]<0.{HEADER_BYTES_MAX}> BODY.PEEK[TEXT]<0.{TEXT_BYTES}>)"
        );
        let one = u64::from(HEADER_BYTES_MAX + TEXT_BYTES);
        let all = (count as u64).saturating_mul(one + 1024) + AROUND_BYTES;
        let budget = Budget { all, literal: u64::from(HEADER_BYTES_MAX), time: FETCH_TIME_MAX };
        let mut heads = Vec::new();
        self.ask("reading headers", &command, budget, |response| {
            let Response::Fetch(_, attributes) = response else { return };
            let mut head = Head::default();
            let mut has_header = false;
            for attribute in attributes {
                match attribute {
                    AttributeValue::Uid(uid) => head.uid = *uid,
                    AttributeValue::Rfc822Size(size) => head.size = *size,
                    AttributeValue::InternalDate(text) => head.date = date(text),
                    AttributeValue::BodySection {
                        section: Some(SectionPath::Full(MessageSection::Header)),
                        data,
                        ..
                    } => {
                        has_header = true;
                        head.header = data.as_deref().unwrap_or_default().to_vec();
                    }
                    AttributeValue::BodySection {
                        section: Some(SectionPath::Full(MessageSection::Text)),
                        data,
                        ..
                    } => head.text = data.as_deref().unwrap_or_default().to_vec(),
                    _ => {}
                }
            }
            // Others are news of flags.
            if has_header && head.uid > 0 {
                heads.push(head);
            }
        })
        .await?;
        heads.sort_unstable_by_key(|head| head.uid);
        Ok(heads)
    }

    /// The whole bytes of some messages that are of `bytes` together; each of `bytes_max` at most.
    pub(super) async fn bodies(
        &mut self,
        uids: &[u32],
        bytes: u64,
        bytes_max: u32,
    ) -> Result<HashMap<u32, Vec<u8>>, Trouble> {
        // A server may count ends of lines otherwise than it sends them.
        let all = bytes.saturating_mul(2) + AROUND_BYTES.saturating_mul(uids.len() as u64 + 1);
        let literal = u64::from(bytes_max) + AROUND_BYTES;
        let command = format!("UID FETCH {} (UID BODY.PEEK[])", set(uids));
        let mut bodies = HashMap::new();
        self.ask("reading messages", &command, Budget { all, literal, time: FETCH_TIME_MAX }, |response| {
            let Response::Fetch(_, attributes) = response else { return };
            let (mut uid, mut body) = (None, None);
            for attribute in attributes {
                match attribute {
                    AttributeValue::Uid(one) => uid = Some(*one),
                    AttributeValue::BodySection { section: None, data, .. } => body = data.as_deref(),
                    _ => {}
                }
            }
            if let (Some(uid), Some(body)) = (uid, body) {
                bodies.insert(uid, body.to_vec());
            }
        })
        .await?;
        Ok(bodies)
    }

    /// Marks messages as seen. Only where the source says so.
    pub(super) async fn mark_seen(&mut self, uids: &[u32]) -> Result<(), Trouble> {
        let command = format!("UID STORE {} +FLAGS.SILENT (\\Seen)", set(uids));
        self.ask("marking messages as seen", &command, Budget::WORDS, |_| {}).await
    }
}

/// UIDs in order as a set, with runs shortened (RFC 3501, `sequence-set`).
pub(super) fn set(uids: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = uids;
    while let Some(first) = rest.first().copied() {
        let mut run = 1;
        while rest.get(run).is_some_and(|next| Some(*next) == rest[run - 1].checked_add(1)) {
            run += 1;
        }
        let comma = if text.is_empty() { "" } else { "," };
        let last = rest[run - 1];
        let written = if run == 1 { write!(text, "{comma}{first}") } else { write!(text, "{comma}{first}:{last}") };
        written.expect("a String takes what it is given");
        rest = &rest[run..];
    }
    text
}

/// RFC 3501's `date-time`.
fn date(text: &str) -> Option<UnixMillis> {
    let parsed = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim()).ok()?;
    Some(UnixMillis(parsed.to_timestamp().ok()?.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_dates_are_as_the_rfc_spells_them() {
        assert_eq!(set(&[1, 2, 3, 5, 7, 8, u32::MAX]), "1:3,5,7:8,4294967295");
        assert_eq!(set(&[]), "");
        assert_eq!(date("17-Jul-1996 02:44:25 -0700"), Some(UnixMillis(837_596_665_000)));
        assert_eq!(date(" 7-Jul-1996 02:44:25 +0000"), Some(UnixMillis(836_707_465_000)));
        assert_eq!(date("yesterday"), None);
    }
}
