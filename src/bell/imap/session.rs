//! A session with a server: commands and their answers, each with its limits in bytes and in time; and waiting.
//!
//! Why the answers are read here and not by the client crate: it takes a refused FETCH, or one that a broken connection cut
//! short, for one that found nothing, and a message would be passed over for good.

use std::{io, sync::Arc, time::Duration};

use async_imap::{
    error::Error,
    imap_proto::{Capability, MailboxDatum, Response, Status},
};

use super::{
    connect::connect,
    credentials::Credentials,
    settings::Settings,
    trouble::{Trouble, said},
    wire::{Allowance, Wire},
};
use crate::domain::{clock::Clock, secret::Secret};

/// What the answers to a command may be where no message is in them, in bytes: a list of a million UIDs.
pub(super) const SAID_BYTES_MAX: u64 = 16 << 20;
/// For a command without messages: a large folder takes a slow server some time to open.
const COMMAND_TIME_MAX: Duration = Duration::from_mins(1);

/// A session that is logged in.
pub(super) struct Session {
    inner: async_imap::Session<Wire>,
    allowance: Arc<Allowance>,
    clock: Arc<dyn Clock>,
    secret: Secret,
    idles: bool,
    /// Whether the server said that messages came, since somebody last looked.
    pub(super) news: bool,
    /// Messages in the folder that is open, as the server said last.
    pub(super) exists: u32,
}

/// What may come for a command.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    pub(super) all: u64,
    pub(super) literal: u64,
    pub(super) time: Duration,
}

impl Budget {
    pub(super) const WORDS: Self = Self { all: SAID_BYTES_MAX, literal: 4096, time: COMMAND_TIME_MAX };
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
        let mut session = Self { inner, allowance, clock, secret, idles: false, news: false, exists: 0 };
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
                Response::MailboxData(MailboxDatum::Exists(count)) => (self.news, self.exists) = (true, *count),
                _ => {}
            }
        }
        self.inner.run_command_untagged("DONE").await.map_err(|error| broken(doing, &error))?;
        self.until_done(doing, &tag, COMMAND_TIME_MAX, |_| {}).await
    }

    pub(super) async fn ask(
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
                    if let Response::MailboxData(MailboxDatum::Exists(count)) = response {
                        (self.news, self.exists) = (true, *count);
                    }
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
