//! The relay that mail for elsewhere is handed to: one conversation a message, one answer a recipient.

use std::{fmt, time::Duration};

use lettre::transport::smtp::{
    authentication::Credentials,
    commands::{Data, Ehlo, Mail, Rcpt},
    extension::{ClientId, MailBodyParameter, MailParameter, RcptParameter},
};
use tokio_rustls::rustls::pki_types::ServerName;

use super::{
    Answer,
    conversation::{Cause, Conversation, Said as Heard, Tls},
    written,
};
use crate::{
    domain::{address::Address, clock::Clock, secret::Secret},
    tls,
};

/// The whole of a conversation: RFC 5321 section 4.5.3.2 allows ten minutes for the last answer alone, and a relay is a
/// neighbour.
const CONVERSATION_TIME_MAX: Duration = Duration::from_mins(10);

/// How a connection to the relay is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// STARTTLS, which must be offered; the certificate is verified.
    StartTls,
    /// TLS from the first byte; the certificate is verified.
    Implicit,
    /// None: only for a relay on loopback, and never with a password.
    None,
}

/// The relay, as it was configured.
pub struct Relay {
    /// Its host name, which its certificate must bear.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How connections are secured.
    pub security: Security,
    /// Who we are, where it asks.
    pub credentials: Option<(String, Secret)>,
    /// What we call ourselves.
    pub hello: String,
    /// A certificate authority in PEM that is trusted beside the system's.
    pub ca: Option<Vec<u8>>,
}

/// A message to be handed over.
pub struct Handing<'a> {
    /// Its return path.
    pub from: &'a Address,
    /// Its envelope id (RFC 3461 section 4.4), for relays that report.
    pub envelope_id: &'a str,
    /// Whom it is for.
    pub recipients: &'a [Address],
    /// Its bytes.
    pub message: &'a [u8],
}

/// What was heard of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// An answer about this recipient.
    OfRecipient(Answer),
    /// An answer about the message or its sender; it holds for everybody.
    OfMessage(Answer),
    /// An answer before any of that; it says nothing of the message.
    OfSession(Answer),
    /// No answer.
    Nothing(Broken),
}

/// How a conversation broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Whether there was a connection at all.
    pub connected: bool,
    /// In our words, with those of the operating system.
    pub words: String,
}

/// What came of handing a message over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// What was heard, in the order of the recipients.
    pub said: Vec<Said>,
    /// Whether the relay will report success as well (RFC 3461), so that its yes is not the last word.
    pub reports: bool,
}

/// How far a conversation has come; kept outside of it, so that what was heard is not lost when it breaks off.
struct Progress {
    said: Vec<Option<Said>>,
    reports: bool,
    connected: bool,
    doing: &'static str,
}

impl Relay {
    /// Hands a message over.
    pub async fn hand(&self, clock: &dyn Clock, handing: &Handing<'_>) -> Handed {
        let mut progress = Progress {
            said: vec![None; handing.recipients.len()],
            reports: false,
            connected: false,
            doing: "connecting",
        };
        let ended = tokio::select! {
            ended = self.converse(handing, &mut progress) => ended,
            () = clock.sleep(CONVERSATION_TIME_MAX) => Err(None),
        };
        let rest = match ended {
            Ok(()) => None,
            Err(Some(said)) => Some(said),
            Err(None) => Some(progress.broken(&"it took too long")),
        };
        let Progress { said, reports, connected, .. } = progress;
        let unsaid = || {
            let words = "the conversation with the relay ended without an answer".to_owned();
            Said::Nothing(Broken { connected, words })
        };
        let said = said.into_iter().map(|said| said.or_else(|| rest.clone()).unwrap_or_else(unsaid)).collect();
        Handed { said, reports }
    }

    /// An error is what holds for every recipient that has no answer yet.
    async fn converse(&self, handing: &Handing<'_>, progress: &mut Progress) -> Result<(), Option<Said>> {
        let mut connection = self.connect(progress).await?;
        let offered = self.offers(&mut connection, progress).await?;
        progress.reports = offered.dsn;

        progress.doing = "naming the sender";
        let sender = written(handing.from).map_err(|error| progress.broken(&error))?;
        let unicode = !handing.recipients.iter().chain([handing.from]).all(|address| address.as_str().is_ascii());
        let naming = connection.command(Mail::new(Some(sender), offered.of_mail(handing, unicode)));
        let answer = naming.await.map_err(|error| progress.broken(&error))?;
        if !answer.is_yes() {
            return Err(Some(Said::OfMessage(answer)));
        }

        progress.doing = "naming a recipient";
        for (at, recipient) in handing.recipients.iter().enumerate() {
            let (Ok(address), true) = (written(recipient), recipient.as_str().is_ascii() || offered.smtputf8) else {
                // RFC 6531 section 3.5: such an address cannot be handed to a server that does not know them.
                let text = "5.6.7 the relay takes no addresses outside ASCII".to_owned();
                progress.said[at] = Some(Said::OfMessage(Answer { code: 553, text }));
                continue;
            };
            let naming = connection.command(Rcpt::new(address, offered.of_rcpt(recipient)));
            let answer = naming.await.map_err(|error| progress.broken(&error))?;
            if !answer.is_yes() {
                progress.said[at] = Some(Said::OfRecipient(answer));
            }
        }
        if progress.said.iter().all(Option::is_some) {
            connection.quit().await;
            return Ok(());
        }

        progress.doing = "starting the message";
        let mut last = connection.command(Data).await.map_err(|error| progress.broken(&error))?;
        if last.is_yes() {
            progress.doing = "sending the message";
            last = connection.message(handing.message).await.map_err(|error| progress.broken(&error))?;
        }
        for said in &mut progress.said {
            said.get_or_insert_with(|| Said::OfMessage(last.clone()));
        }
        connection.quit().await;
        Ok(())
    }

    async fn connect(&self, progress: &mut Progress) -> Result<Conversation, Said> {
        let hello = ClientId::Domain(self.hello.clone());
        let server = (self.host.as_str(), self.port);
        let connecting = match self.security {
            Security::Implicit => Conversation::tls(server, &hello, self.tls(progress)?).await,
            Security::StartTls | Security::None => Conversation::plain(server, &hello).await,
        };
        let mut connection = connecting.map_err(|heard| progress.heard(heard))?;
        progress.connected = true;
        if self.security == Security::StartTls {
            progress.doing = "asking for TLS";
            if !connection.can_starttls() {
                return Err(progress.broken(&"it offers no STARTTLS, which mail.relay.tls asks for"));
            }
            let tls = self.tls(progress)?;
            connection = connection.starttls(&hello, tls).await.map_err(|heard| progress.heard(heard))?;
        }
        if let Some((username, password)) = &self.credentials {
            progress.doing = "proving who we are";
            // Settings with a password and without TLS are refused when they are loaded; this is the second lock.
            if !connection.is_encrypted {
                return Err(progress.broken(&"a password goes only over TLS"));
            }
            let credentials = Credentials::new(username.clone(), password.expose().to_owned());
            connection.auth(&credentials).await.map_err(|heard| progress.heard(heard))?;
        }
        Ok(connection)
    }

    fn tls(&self, progress: &Progress) -> Result<Tls, Said> {
        let made = || -> Result<Tls, Cause> {
            let config = tls::verified(self.ca.as_deref())?;
            let name = ServerName::try_from(self.host.clone())?;
            Ok(Tls { connector: config.into(), name })
        };
        made().map_err(|cause| progress.broken(&cause))
    }

    /// Asks once more for what the server offers: the client crate keeps only what it needs itself.
    async fn offers(&self, connection: &mut Conversation, progress: &mut Progress) -> Result<Offered, Said> {
        progress.doing = "asking what it offers";
        let hello = Ehlo::new(ClientId::Domain(self.hello.clone()));
        let answer = connection.command(hello).await.map_err(|error| progress.broken(&error))?;
        if !answer.is_yes() {
            return Err(Said::OfSession(answer));
        }
        let mut offered = Offered::default();
        for line in answer.text.lines() {
            match line.split_ascii_whitespace().next().unwrap_or("").to_ascii_uppercase().as_str() {
                "DSN" => offered.dsn = true,
                "SMTPUTF8" => offered.smtputf8 = true,
                "8BITMIME" => offered.eight_bit = true,
                _ => {}
            }
        }
        Ok(offered)
    }
}

/// What the server offers, as far as we use it.
#[derive(Debug, Default)]
struct Offered {
    dsn: bool,
    smtputf8: bool,
    eight_bit: bool,
}

impl Offered {
    fn of_mail(&self, handing: &Handing<'_>, unicode: bool) -> Vec<MailParameter> {
        let other = |keyword: &str, value: &str| MailParameter::Other {
            keyword: keyword.to_owned(),
            value: Some(value.to_owned()),
        };
        let mut parameters = Vec::new();
        if self.eight_bit && !handing.message.is_ascii() {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        if self.smtputf8 && unicode {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if self.dsn {
            parameters.extend([other("RET", "HDRS"), other("ENVID", handing.envelope_id)]);
        }
        parameters
    }

    fn of_rcpt(&self, recipient: &Address) -> Vec<RcptParameter> {
        if !self.dsn {
            return Vec::new();
        }
        let other =
            |keyword: &str, value: String| RcptParameter::Other { keyword: keyword.to_owned(), value: Some(value) };
        let mut parameters = vec![other("NOTIFY", "SUCCESS,FAILURE".to_owned())];
        if recipient.as_str().is_ascii() {
            parameters.push(other("ORCPT", format!("rfc822;{recipient}")));
        }
        parameters
    }
}

impl Progress {
    fn broken(&self, why: &dyn fmt::Display) -> Said {
        let words = format!("the conversation with the relay broke off while {}: {why}", self.doing);
        Said::Nothing(Broken { connected: self.connected, words })
    }

    fn heard(&self, heard: Heard) -> Said {
        match heard {
            Heard::No(answer) => Said::OfSession(answer),
            Heard::Nothing(cause) => self.broken(&cause),
        }
    }
}
