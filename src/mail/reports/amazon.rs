//! Amazon SES tells of bounces, complaints and deliveries in JSON, which Amazon SNS sends by mail to whoever asked.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Action, Complaint, Original, Report, Says, addresses,
    letter::Letter,
    limits::RECIPIENTS_MAX,
    verdict::{self, Told},
};

/// What a notice of SES says.
pub(super) fn read(letter: &Letter) -> Option<Report> {
    if !may_be_notice(letter) {
        return None;
    }
    let outer = first_value(letter.text.trim_start())?;
    let inner = outer.get("Message").and_then(Value::as_str).and_then(first_value);
    let notice = inner.as_ref().unwrap_or(&outer);
    let kind = notice.get("notificationType").or_else(|| notice.get("eventType"))?.as_str()?;
    let says = match kind {
        "Bounce" => Says::Status(bounced(notice.get("bounce")?)),
        "Delivery" => Says::Status(delivered(notice.get("delivery")?)),
        "Complaint" => Says::Complaint(complaint(notice.get("complaint")?)),
        _ => return None,
    };
    match &says {
        Says::Status(statuses) if statuses.is_empty() => None,
        _ => Some(Report { about: about(notice), says }),
    }
}

/// Whether the text begins as JSON does.
pub(super) fn may_be_notice(letter: &Letter) -> bool {
    letter.text.trim_start().starts_with('{')
}

/// The first JSON value of a text. SNS signs its mails below it, and mail systems break its long lines.
fn first_value(text: &str) -> Option<Value> {
    let parse = |text: &str| {
        let mut values = serde_json::Deserializer::from_str(text);
        Value::deserialize(&mut values).ok()
    };
    parse(text).or_else(|| parse(&text.replace("\n ", "").replace('\n', "")))
}

fn text_of(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten().take(RECIPIENTS_MAX)
}

fn address(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| value.get("emailAddress")?.as_str())?;
    addresses::clean(text, false)
}

fn bounced(bounce: &Value) -> Vec<super::RecipientStatus> {
    let class = if text_of(bounce, "bounceType").as_deref() == Some("Transient") { "4.0.0" } else { "5.0.0" };
    let recipients = list(bounce, "bouncedRecipients").map(|recipient| {
        let status = text_of(recipient, "status").and_then(|status| status.parse().ok());
        let diagnostic = text_of(recipient, "diagnosticCode");
        verdict::conclude(Told {
            recipient: address(recipient),
            action: match text_of(recipient, "action").as_deref() {
                Some("delayed") => Some(Action::Delayed),
                _ => Some(Action::Failed),
            },
            status: status.or_else(|| diagnostic.is_none().then(|| class.parse().ok()).flatten()),
            diagnostic: diagnostic.map(|code| super::fields::untyped(&code).to_owned()),
            remote_mta: text_of(bounce, "remoteMtaIp"),
            ..Told::default()
        })
    });
    recipients.collect()
}

fn delivered(delivery: &Value) -> Vec<super::RecipientStatus> {
    let recipients = list(delivery, "recipients").map(|recipient| {
        verdict::conclude(Told {
            recipient: address(recipient),
            action: Some(Action::Delivered),
            status: "2.0.0".parse().ok(),
            diagnostic: text_of(delivery, "smtpResponse"),
            remote_mta: text_of(delivery, "reportingMTA"),
            ..Told::default()
        })
    });
    recipients.collect()
}

fn complaint(complaint: &Value) -> Complaint {
    Complaint {
        recipients: list(complaint, "complainedRecipients").filter_map(address).collect(),
        feedback_type: text_of(complaint, "complaintFeedbackType")
            .unwrap_or_else(|| "abuse".into())
            .to_ascii_lowercase(),
        reporting_domain: Some("amazonses.com".into()),
    }
}

fn about(notice: &Value) -> Original {
    let Some(mail) = notice.get("mail") else { return Original::default() };
    let common = mail.get("commonHeaders").unwrap_or(&Value::Null);
    let header = |name: &str| {
        let headers = list(mail, "headers");
        let mut named =
            headers.filter(|header| text_of(header, "name").is_some_and(|said| said.eq_ignore_ascii_case(name)));
        named.find_map(|header| text_of(header, "value"))
    };
    let bare = |id: String| id.trim().trim_matches(['<', '>']).to_owned();
    Original {
        message_id: header("Message-ID").or_else(|| text_of(common, "messageId")).map(bare).filter(|id| !id.is_empty()),
        envelope_id: None,
        from: text_of(mail, "source").and_then(|from| addresses::clean(&from, false)),
        to: list(mail, "destination").filter_map(address).collect(),
        subject: text_of(common, "subject").or_else(|| header("Subject")),
    }
}
