//! What a conversation answers to each command: state and rules, without I/O.
//!
//! What must be looked up elsewhere comes out as a [`Step`], and the answer goes back in.

use std::sync::Arc;

use smtp_proto::{Error, MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MAIL_SMTPUTF8, MailFrom, RcptTo, Request};

use super::{
    dialect::Dialect,
    limits::{COMMANDS_BETWEEN_MAX, COMMANDS_MAX, COMPLAINTS_MAX, RECIPIENTS_MAX, SmtpLimits},
    reply::Reply,
};
use crate::{
    domain::{address::Address, message::Mailbox, return_path},
    mail::reception::{Envelope, Recipient},
};

/// Methods of HTTP. A browser that a web page sends here must not get as far as to have its body read as commands.
const HTTP_METHODS: [&[u8]; 10] =
    [b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"DELETE", b"PATCH", b"TRACE", b"PRI"];

/// Commands that carry an address, which may be in any script (RFC 6531 section 3.4).
const WITH_ADDRESSES: [&[u8]; 4] = [b"MAIL", b"RCPT", b"VRFY", b"EXPN"];

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Say this and go on.
    Say(Reply),
    /// Say this and close.
    End(Reply),
    /// Close without a word.
    Drop,
    /// A sender announces a message of so many bytes (0: it does not say): is there room? Then
    /// [`Session::sender_answered`].
    Sender { bytes: usize },
    /// Is there such a mailbox? Then [`Session::recipient_answered`].
    Recipient(Recipient),
    /// Say that the message may come, and read it; then [`Session::end_message`].
    Message,
}

/// One conversation.
pub(super) struct Session {
    dialect: Dialect,
    limits: Arc<SmtpLimits>,
    hello: Option<Hello>,
    /// A sender that waits for the answer about room.
    announced: Option<Announced>,
    transaction: Option<Transaction>,
    complaints: u32,
    commands_since_message: u32,
    commands: u32,
}

/// How the peer introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) name: String,
    /// With EHLO or LHLO.
    pub(super) extended: bool,
}

/// How a message was handed over, for its trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct HandedOver<'a> {
    pub(super) from: &'a str,
    /// The name that the peer gave itself.
    pub(super) hello: Option<&'a str>,
    pub(super) with: &'static str,
}

struct Announced {
    from: String,
    /// The peer asked for SMTPUTF8.
    utf8: bool,
}

struct Transaction {
    from: String,
    utf8: bool,
    recipients: Vec<Mailbox>,
    /// For each recipient taken, in order, where its mailbox stands in `recipients`.
    taken: Vec<usize>,
    /// The address that waits for the answer whether there is such a mailbox.
    asked: Option<Address>,
    /// The secrets of the return paths among the recipients.
    returned_to: Vec<String>,
}

impl Session {
    pub(super) fn new(dialect: Dialect, limits: Arc<SmtpLimits>) -> Self {
        Self {
            dialect,
            limits,
            hello: None,
            announced: None,
            transaction: None,
            complaints: 0,
            commands_since_message: 0,
            commands: 0,
        }
    }

    /// How the peer introduced itself.
    pub(super) fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// The answer to a command line, which includes its line end.
    pub(super) fn command(&mut self, line: &[u8]) -> Step {
        self.commands += 1;
        self.commands_since_message += 1;
        if self.commands > COMMANDS_MAX || self.commands_since_message > COMMANDS_BETWEEN_MAX {
            return Step::End(Reply::new(421, "4.7.0", "too many commands; closing"));
        }
        let text = line.trim_ascii_end();
        let verb = text.split(|byte| *byte == b' ').next().unwrap_or(text);
        if HTTP_METHODS.iter().any(|method| verb.eq_ignore_ascii_case(method)) {
            return Step::Drop;
        }
        let with_address = WITH_ADDRESSES.iter().any(|command| verb.eq_ignore_ascii_case(command));
        if !is_printable(text, with_address) {
            return self.complain(Reply::new(
                500,
                "5.5.2",
                "commands are made of printable ASCII characters only; addresses may be in UTF-8",
            ));
        }
        let whole = [text, b"\r\n"].concat();
        match Request::parse(&mut whole.iter()) {
            Ok(request) => self.request(request, text),
            Err(error) => self.unreadable(&error),
        }
    }

    /// The answer to a line that was too long to be read.
    pub(super) fn line_too_long(&mut self) -> Step {
        self.complain(Reply::new(500, "5.5.2", "the line is too long"))
    }

    fn request<T: AsRef<str>>(&mut self, request: Request<T>, text: &[u8]) -> Step {
        match request {
            Request::Ehlo { host } if self.dialect == Dialect::Smtp => {
                self.introduce(host.as_ref(), true);
                Step::Say(Reply::extensions(&self.limits))
            }
            Request::Lhlo { host } if self.dialect == Dialect::Lmtp => {
                self.introduce(host.as_ref(), true);
                Step::Say(Reply::extensions(&self.limits))
            }
            Request::Helo { host } if self.dialect == Dialect::Smtp => {
                self.introduce(host.as_ref(), false);
                Step::Say(Reply::hello(&self.limits))
            }
            Request::Mail { from } => self.sender(&from),
            Request::Rcpt { to } => self.recipient(&to, text),
            Request::Data => match &self.transaction {
                Some(transaction) if !transaction.recipients.is_empty() => Step::Message,
                // RFC 2033 section 4.2 has another code for it than RFC 5321 section 3.3.
                Some(_) if self.dialect == Dialect::Lmtp => {
                    self.complain(Reply::new(503, "5.5.1", "no valid recipients"))
                }
                Some(_) => self.complain(Reply::new(554, "5.5.1", "no valid recipients")),
                None => self.complain(Reply::new(503, "5.5.1", "say MAIL and RCPT first")),
            },
            Request::Rset => {
                self.transaction = None;
                Step::Say(Reply::new(250, "2.0.0", "forgotten"))
            }
            Request::Noop { .. } => Step::Say(Reply::new(250, "2.0.0", "here")),
            Request::Vrfy { .. } => {
                Step::Say(Reply::new(252, "2.1.5", "will not verify, but will take mail for mailboxes that are here"))
            }
            Request::Help { .. } => Step::Say(Reply::new(
                214,
                "2.0.0",
                match self.dialect {
                    Dialect::Smtp => "EHLO, HELO, MAIL, RCPT, DATA, RSET, NOOP, VRFY, HELP, QUIT; see RFC 5321",
                    Dialect::Lmtp => "LHLO, MAIL, RCPT, DATA, RSET, NOOP, VRFY, HELP, QUIT; see RFC 2033",
                },
            )),
            Request::Quit => Step::End(Reply::new(221, "2.0.0", "bye")),
            Request::Lhlo { .. } => self.complain(Reply::new(500, "5.5.1", "this is SMTP, not LMTP; say EHLO")),
            // RFC 2033 section 4.1.
            Request::Ehlo { .. } | Request::Helo { .. } => {
                self.complain(Reply::new(500, "5.5.1", "this is LMTP, not SMTP; say LHLO"))
            }
            Request::Expn { .. }
            | Request::Bdat { .. }
            | Request::Auth { .. }
            | Request::Etrn { .. }
            | Request::Atrn { .. }
            | Request::Burl { .. }
            | Request::StartTls => self.complain(Reply::new(502, "5.5.1", "this command is not offered here")),
        }
    }

    fn introduce(&mut self, name: &str, extended: bool) {
        self.hello = Some(Hello { name: name.trim().to_owned(), extended });
        self.transaction = None;
    }

    fn sender<T: AsRef<str>>(&mut self, from: &MailFrom<T>) -> Step {
        if self.hello.is_none() {
            return self.complain(Reply::new(503, "5.5.1", format!("say {} first", self.dialect.hello())));
        }
        if self.transaction.is_some() {
            return self.complain(Reply::new(503, "5.5.1", "a message is under way already; say RSET to forget it"));
        }
        if wants_what_is_not_offered(from) {
            return self.complain(Reply::new(
                555,
                "5.5.4",
                "a parameter of MAIL is not offered here; SIZE, BODY and SMTPUTF8 are",
            ));
        }
        let utf8 = from.flags & MAIL_SMTPUTF8 != 0;
        if utf8 && !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            return self.complain(Reply::new(555, "5.5.4", "SMTPUTF8 is an extension; say EHLO to use it"));
        }
        if !utf8 && !from.address.as_ref().is_ascii() {
            return self.complain(Reply::new(550, "5.6.7", "this sender needs SMTPUTF8, which MAIL did not ask for"));
        }
        if from.size > self.limits.message_bytes_max {
            return Step::Say(Reply::too_big(&self.limits));
        }
        self.announced = Some(Announced { from: from.address.as_ref().to_owned(), utf8 });
        Step::Sender { bytes: from.size }
    }

    /// Takes the announced sender, or says why there is no room.
    pub(super) fn sender_answered(&mut self, room: Result<(), Reply>) -> Step {
        let announced = self.announced.take();
        match (room, announced) {
            (Ok(()), Some(Announced { from, utf8 })) => {
                self.transaction = Some(Transaction {
                    from,
                    utf8,
                    recipients: Vec::new(),
                    taken: Vec::new(),
                    asked: None,
                    returned_to: Vec::new(),
                });
                Step::Say(Reply::new(250, "2.1.0", "sender ok"))
            }
            (Ok(()), None) => self.complain(Reply::new(503, "5.5.1", "say MAIL first")),
            (Err(reply), _) => Step::Say(reply),
        }
    }

    fn recipient<T: AsRef<str>>(&mut self, to: &RcptTo<T>, text: &[u8]) -> Step {
        let Some(transaction) = &mut self.transaction else {
            return self.complain(Reply::new(503, "5.5.1", "say MAIL first"));
        };
        transaction.asked = None;
        if to.orcpt.is_some() || to.flags != 0 || to.rrvs != 0 {
            return self.complain(Reply::new(555, "5.5.4", "a parameter of RCPT is not offered here"));
        }
        if transaction.taken.len() >= RECIPIENTS_MAX {
            return Step::Say(Reply::new(
                452,
                "4.5.3",
                format!("more than {RECIPIENTS_MAX} recipients; send the rest later"),
            ));
        }
        let address = to.address.as_ref();
        if !transaction.utf8 && !address.is_ascii() {
            return self.complain(Reply::new(
                553,
                "5.6.7",
                "this recipient needs SMTPUTF8, which MAIL did not ask for",
            ));
        }
        if address.is_empty() && text.to_ascii_lowercase().windows(12).any(|part| part == b"<postmaster>") {
            return Step::Recipient(Recipient::Postmaster);
        }
        match address.parse() {
            Ok(address) => {
                let address: Address = address;
                transaction.asked = Some(address.clone());
                Step::Recipient(Recipient::Address(address))
            }
            Err(_) => self.complain(Reply::new(501, "5.1.3", "this is not an address")),
        }
    }

    /// Adds the mailbox that was found, or says why there is none.
    pub(super) fn recipient_answered(&mut self, found: Result<Mailbox, Reply>) -> Step {
        match (found, &mut self.transaction) {
            (Ok(mailbox), Some(transaction)) => {
                let asked = transaction.asked.take();
                transaction.returned_to.extend(asked.as_ref().and_then(return_path::token).map(str::to_owned));
                let known = transaction.recipients.iter().position(|known| known.id == mailbox.id);
                transaction.taken.push(known.unwrap_or(transaction.recipients.len()));
                if known.is_none() {
                    transaction.recipients.push(mailbox);
                }
                Step::Say(Reply::new(250, "2.1.5", "recipient ok"))
            }
            (Ok(_), None) => self.complain(Reply::new(503, "5.5.1", "say MAIL first")),
            (Err(reply), _) => Step::Say(reply),
        }
    }

    /// How the message under way is handed over.
    pub(super) fn handed_over(&self) -> HandedOver<'_> {
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        let utf8 = self.transaction.as_ref().is_some_and(|transaction| transaction.utf8);
        HandedOver {
            from: self.transaction.as_ref().map_or("", |transaction| &transaction.from),
            hello: self.hello.as_ref().map(|hello| hello.name.as_str()),
            with: self.dialect.with(extended, utf8),
        }
    }

    /// For each recipient taken for the message under way, where its mailbox stands in the envelope.
    pub(super) fn taken(&self) -> &[usize] {
        self.transaction.as_ref().map_or(&[], |transaction| &transaction.taken)
    }

    /// Ends the message under way, whatever becomes of it, and tells whom it is from and for.
    pub(super) fn end_message(&mut self) -> Envelope {
        self.commands_since_message = 0;
        match self.transaction.take() {
            Some(Transaction { from, recipients, returned_to, .. }) => Envelope { from, recipients, returned_to },
            None => Envelope { from: String::new(), recipients: Vec::new(), returned_to: Vec::new() },
        }
    }

    fn unreadable(&mut self, error: &Error) -> Step {
        let reply = match error {
            Error::UnknownCommand | Error::NeedsMoreData { .. } => {
                Reply::new(500, "5.5.1", "this is not a command of SMTP; say HELP")
            }
            Error::InvalidSenderAddress => Reply::new(501, "5.1.7", "the sender is not an address in angle brackets"),
            Error::InvalidRecipientAddress => {
                Reply::new(501, "5.1.3", "the recipient is not an address in angle brackets")
            }
            Error::SyntaxError { syntax } => Reply::new(501, "5.5.2", format!("the form is: {syntax}")),
            Error::InvalidParameter { param } => {
                Reply::new(501, "5.5.4", format!("the parameter {param} is not well formed"))
            }
            Error::UnsupportedParameter { .. } => Reply::new(555, "5.5.4", "a parameter is not offered here"),
            Error::ResponseTooLong | Error::InvalidResponse { .. } => Reply::new(500, "5.5.2", "the line is too long"),
        };
        self.complain(reply)
    }

    /// Says what was wrong; says goodbye to a peer that has been wrong too often.
    fn complain(&mut self, reply: Reply) -> Step {
        self.complaints += 1;
        if self.complaints >= COMPLAINTS_MAX {
            return Step::End(Reply::new(421, "4.7.0", "too many commands that were no good; closing"));
        }
        Step::Say(reply)
    }
}

/// Whether a command line is made of printable characters: of ASCII, and with an address in it, of any script.
fn is_printable(text: &[u8], with_address: bool) -> bool {
    if text.is_ascii() {
        return text.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    }
    with_address && std::str::from_utf8(text).is_ok_and(|text| text.chars().all(|c| c == '\t' || !c.is_control()))
}

/// Whether MAIL carries a parameter of an extension that EHLO did not name (RFC 5321 section 4.1.1.11).
fn wants_what_is_not_offered<T>(from: &MailFrom<T>) -> bool {
    from.flags & !(MAIL_BODY_7BIT | MAIL_BODY_8BITMIME | MAIL_SMTPUTF8) != 0
        || from.trans_id.is_some()
        || from.by != 0
        || from.env_id.is_some()
        || from.solicit.is_some()
        || from.mtrk.is_some()
        || from.auth.is_some()
        || from.hold_for != 0
        || from.hold_until != 0
        || from.mt_priority != 0
}

#[cfg(test)]
mod tests;
