//! A message laid out on the table: its header, what it tells people, what it tells machines, and what it returns.

use std::rc::Rc;

use mail_parser::{Address, HeaderName, HeaderValue, Message};

use super::{
    cut, fields,
    limits::{ADDRESSES_MAX, FIELD_BYTES_MAX, LINE_BYTES_MAX, REPORT_BYTES_MAX, TEXT_BYTES_MAX, cut as cut_text},
    markup, parts,
};

/// A message that may be a report.
#[derive(Default)]
pub(super) struct Letter {
    pub(super) headers: Option<Rc<Message<'static>>>,
    /// Its media type, and the `report-type` of a `multipart/report` (RFC 6522).
    pub(super) media_type: String,
    pub(super) report_type: String,
    /// The sender's name and address, each in lower case.
    sender: (String, String),
    /// What it says to people, without the message that it returns.
    pub(super) text: String,
    /// `message/delivery-status` parts.
    pub(super) status: Vec<String>,
    /// `message/feedback-report` parts.
    pub(super) feedback: Vec<String>,
    /// The returned message or its header, the surest first.
    pub(super) returned: Vec<String>,
}

impl Letter {
    pub(super) fn open(raw: &[u8]) -> Self {
        Self::unparted(raw).parted()
    }

    /// The letter with a message that its text returns still in the text.
    pub(super) fn unparted(raw: &[u8]) -> Self {
        let raw = &raw[..raw.len().min(REPORT_BYTES_MAX)];
        let root = parts::Part::of(raw);
        let mut letter = Self {
            media_type: root.media_type(),
            report_type: root.parameter("report-type").unwrap_or("").to_ascii_lowercase(),
            sender: root.headers.as_deref().map(sender_of).unwrap_or_default(),
            headers: root.headers.clone(),
            ..Self::default()
        };
        let (mut plain, mut html) = (String::new(), Vec::new());
        for part in parts::leaves(root) {
            match part.media_type().as_str() {
                "message/delivery-status" | "message/global-delivery-status" => letter.status.push(part.text()),
                "message/feedback-report" => letter.feedback.push(part.text()),
                "message/rfc822"
                | "message/global"
                | "text/rfc822-headers"
                | "text/rfc822-header"
                | "message/rfc822-headers"
                | "message/global-headers"
                | "message/partial" => {
                    letter.returned.push(part.text());
                }
                "text/html" => html.push(part),
                kind if kind.starts_with("text/") || kind.starts_with("multipart/") => add(&mut plain, &part.text()),
                _ if letter.media_type == "multipart/report" => letter.status.extend(mislabelled_status(&part)),
                _ => {}
            }
        }
        letter.text = if plain.trim().is_empty() { shown(&html) } else { plain };
        letter
    }

    /// The letter with its text parted from the message that it returns.
    pub(super) fn parted(mut self) -> Self {
        let (said, returned) = cut::at_original(&self.text);
        let (said_bytes, returned) = (said.len(), returned.map(str::to_owned));
        self.text.truncate(said_bytes);
        self.returned.extend(returned);
        self
    }

    /// A header field as it stands, on one line; none if it is absent.
    pub(super) fn field(&self, name: &'static str) -> Option<String> {
        let raw = self.headers.as_ref()?.header_raw(name)?;
        let line = raw.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(cut_text(&line, FIELD_BYTES_MAX).to_owned())
    }

    /// The subject, decoded.
    pub(super) fn subject(&self) -> String {
        let subject = self.headers.as_ref().and_then(|headers| headers.subject()).unwrap_or("");
        cut_text(subject, LINE_BYTES_MAX).to_owned()
    }

    /// The sender's name and address, each in lower case.
    pub(super) fn sender(&self) -> (&str, &str) {
        (&self.sender.0, &self.sender.1)
    }

    /// Who the letter itself is for, in lower case.
    pub(super) fn addressees(&self) -> Vec<String> {
        let to = self.headers.as_ref().and_then(|headers| headers.to());
        to.map(Address::iter)
            .into_iter()
            .flatten()
            .filter_map(|person| person.address())
            .take(ADDRESSES_MAX)
            .map(str::to_lowercase)
            .collect()
    }

    /// The Message-IDs that it answers, the nearest first.
    pub(super) fn answers(&self) -> Vec<String> {
        let Some(headers) = &self.headers else { return Vec::new() };
        let ids = |name| match headers.header(name) {
            Some(HeaderValue::Text(one)) => vec![one.to_string()],
            Some(HeaderValue::TextList(many)) => many.iter().rev().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        [ids(HeaderName::InReplyTo), ids(HeaderName::References)].concat()
    }

    /// What the text says in the form of header fields, such as `Message-ID: <…>` in a sentence for people.
    pub(super) fn field_in_text(&self, name: &str) -> Option<String> {
        fields::read(&self.text).into_iter().flatten().find(|field| field.name == name).map(|field| field.value)
    }
}

fn sender_of(headers: &Message<'_>) -> (String, String) {
    let Some(person) = headers.from().or_else(|| headers.sender()).and_then(Address::first) else {
        return Default::default();
    };
    let name = person.name().unwrap_or("").to_lowercase();
    let mut address = person.address().unwrap_or("").to_lowercase();
    // `From: mailer-daemon` without a domain is read as a name or as an address, by the way it is written.
    if address.is_empty() {
        address.clone_from(&name);
    }
    (name, address)
}

/// The status part of a report whose mail system does not say that it is one.
fn mislabelled_status(part: &parts::Part<'_>) -> Option<String> {
    Some(part.text()).filter(|text| text.trim_start().starts_with("Reporting-MTA:"))
}

/// What HTML parts say.
fn shown(html: &[parts::Part<'_>]) -> String {
    let mut whole = String::new();
    for part in html {
        add(&mut whole, &markup::to_text(&part.text()));
    }
    whole
}

fn add(whole: &mut String, text: &str) {
    if !whole.is_empty() {
        whole.push('\n');
    }
    whole.push_str(cut_text(text, TEXT_BYTES_MAX.saturating_sub(whole.len())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_speaks_where_nothing_else_does() {
        let said = |plain: &str| {
            let html = "--b\r\nContent-Type: text/html\r\n\r\n<p>one</p>\r\n--b\r\nContent-Type: text/html\r\n\r\ntwo";
            let plain = format!("--b\r\nContent-Type: text/plain\r\n\r\n{plain}\r\n");
            let raw = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{plain}{html}\r\n--b--\r\n");
            Letter::open(raw.as_bytes()).text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(said("plain"), "plain");
        assert_eq!(said(" "), "one two");
    }

    #[test]
    fn senders_are_read_in_lower_case() {
        for (from, sender) in [
            ("From: Ann Ash <Ann@There.test>", ("ann ash", "ann@there.test")),
            ("Sender: Ann@There.test", ("", "ann@there.test")),
            ("Subject: none", ("", "")),
        ] {
            assert_eq!(Letter::open(format!("{from}\r\n\r\n").as_bytes()).sender(), sender, "{from}");
        }
        assert_eq!(Letter::open(b"From: MAILER-DAEMON\r\n\r\n").sender().1, "mailer-daemon");
    }
}
