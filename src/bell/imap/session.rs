//! A session with a server: the commands that a reader needs, each with its limits in bytes and in time.
//!
//! Why the answers are read here and not by the client crate: it takes a refused FETCH, or one that a broken connection cut
//! short, for one that found nothing, and a message would be passed over for good.

use std::{collections::HashMap, fmt::Write as _, io, sync::Arc, time::Duration};

use async_imap::{
    error::Error,
    imap_proto::{
        AttributeValue, Capability, MailboxDatum, MessageSection, Response, ResponseCode, SectionPath, Status,
    },
};

use super::{
    connect::connect,
    credentials::Credentials,
    names::quoted,
    settings::Settings,
    trouble::{Trouble, said},
    wire::{Allowance, Wire},
};
use crate::domain::{
    clock::{Clock, UnixMillis},
    secret::Secret,
};

/// What the answers to a command may be where no message is in them, in bytes: a list of a million UIDs.
pub(super) const SAID_BYTES_MAX: u64 = 16 << 20;
/// A header beyond this is cut, in bytes; what the embedded service reads of one.
pub(super) const HEADER_BYTES_MAX: u32 = 256 << 10;
/// What is read of a text to tell messages apart, in bytes.
const TEXT_BYTES: u32 = 4096;
/// What stands around a message in an answer, in bytes.
const AROUND_BYTES: u64 = 64 << 10;
/// For a command without messages: a large folder takes a slow server some time to open.
const COMMAND_TIME_MAX: Duration = Duration::from_mins(1);
/// For a command that brings messages: 25 MB over a slow line.
const FETCH_TIME_MAX: Duration = Duration::from_mins(10);
/// Folders listed at most.
const FOLDERS_MAX: usize = 500;

/// A session that is logged in.
pub(super) struct Session {
    inner: async_imap::Session<Wire>,
    allowance: Arc<Allowance>,
    clock: Arc<dyn Clock>,
    secret: Secret,
    idles: bool,
    /// Whether the server said that messages came, since somebody last looked.
    news: bool,
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

/// What may come for a command.
#[derive(Clone, Copy)]
struct Budget {
    all: u64,
    literal: u64,
    time: Duration,
}

impl Budget {
    const WORDS: Self = Self { all: SAID_BYTES_MAX, literal: 4096, time: COMMAND_TIME_MAX };
}

impl Session {
    /// Connects and logs in.
    pub(super) async fn open(
        settings: &Settings,
        password: Option<&Secret>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Trouble> {
        let credentials = Credentials::of(settings, password, &*clock).await?;
        let allowance = Arc::new(Allowance::default());
        let inner = connect(settings, &credentials, &allowance, &*clock).await?;
        let secret = credentials.secret().clone();
        let mut session = Self { inner, allowance, clock, secret, idles: false, news: false };
        let mut idles = false;
        session
            .ask("asking what the server can do", "CAPABILITY", Budget::WORDS, |response| {
                if let Response::Capabilities(all) = response {
                    idles |= all
                        .iter()
                        .any(|one| matches!(one, Capability::Atom(name) if name.eq_ignore_ascii_case("IDLE")));
                }
            })
            .await?;
        session.idles = idles;
        Ok(session)
    }

    /// Whether the server tells of new messages by itself.
    pub(super) fn idles(&self) -> bool {
        self.idles
    }

    /// Whether the server said that messages came since this was last asked.
    pub(super) fn heard_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

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
        self.news = false;
        Ok(opened)
    }

    /// The names of the folders there.
    pub(super) async fn list(&mut self) -> Result<Vec<String>, Trouble> {
        let mut names = Vec::new();
        self.ask("listing folders", r#"LIST "" "*""#, Budget::WORDS, |response| {
            if let Response::MailboxData(MailboxDatum::List(one)) = response
                && names.len() < FOLDERS_MAX
            {
                names.push(one.name.to_string());
            }
        })
        .await?;
        Ok(names)
    }

    /// The UIDs after `uid`, in their order.
    pub(super) async fn uids_after(&mut self, uid: u32) -> Result<Vec<u32>, Trouble> {
        let Some(first) = uid.checked_add(1) else { return Ok(Vec::new()) };
        let mut uids = Vec::new();
        self.ask("looking for new messages", &format!("UID SEARCH UID {first}:*"), Budget::WORDS, |response| {
            if let Response::MailboxData(MailboxDatum::Search(found)) = response {
                // `*` is the last message, also where that comes before `first` (RFC 3501 section 6.4.8).
                uids.extend(found.iter().copied().filter(|found| *found > uid));
            }
        })
        .await?;
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

    /// Asks for nothing, so that the server says what is new and the connection stays.
    pub(super) async fn noop(&mut self) -> Result<(), Trouble> {
        self.ask("asking whether something is new", "NOOP", Budget::WORDS, |_| {}).await
    }

    /// Leaves; whatever the server says to that.
    pub(super) async fn log_out(mut self) {
        let _ = self.ask("logging out", "LOGOUT", Budget::WORDS, |_| {}).await;
    }

    /// Waits until the server says that something is new (RFC 2177), for at most `span`.
    pub(super) async fn idle(&mut self, span: Duration) -> Result<(), Trouble> {
        let doing = "waiting for new messages";
        let clock = self.clock.clone();
        self.allowance.set(SAID_BYTES_MAX, Budget::WORDS.literal);
        let tag = self.inner.run_command("IDLE").await.map_err(|error| broken(doing, &error))?;
        let mut waits = false;
        let mut over = clock.sleep(COMMAND_TIME_MAX);
        // What came between the last look and here is told before the server begins to wait, or right after.
        while !(waits && self.news) {
            let heard = tokio::select! {
                heard = self.inner.read_response() => heard,
                () = &mut over => {
                    if waits {
                        break;
                    }
                    return Err(Trouble::TooSlow { doing });
                }
            };
            let heard = heard.map_err(|error| broken(doing, &error.into()))?;
            let Some(heard) = heard else { return Err(Trouble::Broken { doing, why: "it hung up" }) };
            match heard.parsed() {
                Response::Continue(_) if !waits => {
                    waits = true;
                    over = clock.sleep(span);
                }
                Response::Done { tag: other, outcome, .. } if *other == tag => {
                    let said = said(outcome.information.as_deref().unwrap_or_default(), self.secret.expose());
                    return Err(Trouble::Said { doing, said });
                }
                Response::Data { status: Status::Bye, .. } => return Err(Trouble::Broken { doing, why: BYE }),
                Response::MailboxData(MailboxDatum::Exists(_)) => self.news = true,
                _ => {}
            }
        }
        self.inner.run_command_untagged("DONE").await.map_err(|error| broken(doing, &error))?;
        self.until_done(doing, &tag, COMMAND_TIME_MAX, |_| {}).await
    }

    async fn ask(
        &mut self,
        doing: &'static str,
        command: &str,
        Budget { all, literal, time }: Budget,
        each: impl FnMut(&Response<'_>),
    ) -> Result<(), Trouble> {
        self.allowance.set(all, literal);
        let tag = self.inner.run_command(command).await.map_err(|error| broken(doing, &error))?;
        self.until_done(doing, &tag, time, each).await
    }

    async fn until_done(
        &mut self,
        doing: &'static str,
        tag: &async_imap::imap_proto::RequestId,
        time: Duration,
        mut each: impl FnMut(&Response<'_>),
    ) -> Result<(), Trouble> {
        let mut over = self.clock.sleep(time);
        loop {
            let heard = tokio::select! {
                heard = self.inner.read_response() => heard.map_err(|error| broken(doing, &error.into()))?,
                () = &mut over => return Err(Trouble::TooSlow { doing }),
            };
            let Some(heard) = heard else { return Err(Trouble::Broken { doing, why: "it hung up" }) };
            match heard.parsed() {
                Response::Done { tag: other, status, outcome } if other == tag => {
                    if *status == Status::Ok {
                        return Ok(());
                    }
                    let said = said(outcome.information.as_deref().unwrap_or_default(), self.secret.expose());
                    return Err(Trouble::Said { doing, said });
                }
                Response::Data { status: Status::Bye, .. } => return Err(Trouble::Broken { doing, why: BYE }),
                response => {
                    self.news |= matches!(response, Response::MailboxData(MailboxDatum::Exists(_)));
                    each(response);
                }
            }
        }
    }
}

const BYE: &str = "it said goodbye";

/// What an error of the client crate means. Its own words may hold mail, and are left out.
pub(super) fn broken(doing: &'static str, error: &Error) -> Trouble {
    let why = match error {
        Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => "it sent more than was asked for",
        // What its parser does not understand.
        Error::Io(error) if error.kind() == io::ErrorKind::Other => "it sent what is no IMAP",
        Error::Io(_) | Error::ConnectionLost => "it hung up",
        Error::Validate(_) => "a user or password with a line break in it cannot be sent",
        _ => "it sent what is no IMAP",
    };
    Trouble::Broken { doing, why }
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
