//! What Amazon SES tells: event publishing, the notifications of an identity, and messages that came in.
//! <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html>

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    super::{
        Carried, Malformed,
        carried::assembled,
        event::{Inbound, Told, derived_id, is_auto, part_id, plain_text},
        failure::Failure,
        json::Json,
        vocabulary::{Meaning, meaning},
    },
    ROWS,
    sns::Envelope,
};
use crate::domain::{clock::UnixMillis, event::NewEvent};

/// Recipients of one notification at most: a message of SES has at most 50.
const RECIPIENTS_MAX: usize = 1_000;

/// One of those that a notification tells of.
#[derive(Default)]
struct Party {
    address: Option<String>,
    status: Option<String>,
    diagnostic: Option<String>,
}

/// The events of a verified envelope.
pub(super) fn events(envelope: &Envelope, now: UnixMillis) -> Result<Vec<NewEvent>, Malformed> {
    // A topic tells of itself too: its confirmations, and a sentence in plain text when SES is first pointed to it.
    let message = serde_json::from_str::<serde_json::Value>(&envelope.message).ok();
    let message = message.filter(|message| envelope.kind == "Notification" && message.is_object());
    let known = message.as_ref().map(Json::of);
    let name = known.and_then(|known| known.at("eventType").or(known.at("notificationType")).owned());
    if let (Some(known), Some(name)) = (known, name) {
        return notification(envelope, known, name, now);
    }
    let (id, at) = (envelope.message_id.clone(), super::super::json::moment(&envelope.timestamp));
    let told = Told { id, at, name: envelope.kind.clone(), ..Told::default() };
    Ok(vec![told.event(meaning(&ROWS, &envelope.kind), now)])
}

fn notification(
    envelope: &Envelope,
    known: Json<'_>,
    name: String,
    now: UnixMillis,
) -> Result<Vec<NewEvent>, Malformed> {
    let mail = known.at("mail");
    let (part, class) = about(known, &name);
    let key = class.iter().fold(name, |key, class| format!("{key}/{class}"));
    let row = meaning(&ROWS, &key);
    let parties = parties(known, part, row.meaning);
    if parties.len() > RECIPIENTS_MAX {
        return Err(Malformed(format!("a notification must be of at most {RECIPIENTS_MAX} recipients")));
    }
    let at = part.at("timestamp").or(mail.at("timestamp"));
    let message = mail.at("messageId").owned();
    // SNS may tell the same again under another id of its own, and an identity and a configuration set may both tell it: so
    // what SES itself says names the event.
    let id = match (part.at("feedbackId").owned(), &message) {
        (Some(feedback), _) => feedback,
        (None, Some(message)) => derived_id(&[&key, message, &at.owned().unwrap_or_default()]),
        (None, None) => envelope.message_id.clone(),
    };
    let response = part.at("smtpResponse").owned();
    let feedback = part.at("complaintFeedbackType").owned();
    let inbound = if row.meaning == Meaning::Inbound { arrival(known) } else { Inbound::default() };
    let at = at.moment().or_else(|| super::super::json::moment(&envelope.timestamp));
    let count = parties.len();
    let told = parties.into_iter().map(|party| {
        let told = Told {
            id: part_id(&id, party.address.as_deref(), count),
            at,
            mailbox: if row.meaning == Meaning::Inbound { party.address.clone() } else { mail.at("source").owned() },
            message: message.clone(),
            name: key.clone(),
            response: response.as_deref(),
            failure: Failure {
                status: party.status.as_deref(),
                diagnostic: party.diagnostic.as_deref(),
                ..Failure::default()
            },
            recipient: party.address.clone(),
            feedback: feedback.as_deref(),
            inbound: inbound.clone(),
            ..Told::default()
        };
        told.event(row, now)
    });
    Ok(told.collect())
}

/// The part of a notification that tells of this name, and what in it decides too.
fn about<'a>(known: Json<'a>, name: &str) -> (Json<'a>, Vec<String>) {
    let part = |name| known.at(name);
    let classes = |classes: &[Json<'a>]| classes.iter().filter_map(|class| class.owned()).collect();
    match name {
        "Bounce" => {
            let bounce = part("bounce");
            (bounce, classes(&[bounce.at("bounceType"), bounce.at("bounceSubType")]))
        }
        "Complaint" => {
            let complaint = part("complaint");
            (complaint, classes(&[complaint.at("complaintSubType").or(complaint.at("complaintFeedbackType"))]))
        }
        "DeliveryDelay" => (part("deliveryDelay"), classes(&[part("deliveryDelay").at("delayType")])),
        "Delivery" => (part("delivery"), Vec::new()),
        "Open" => (part("open"), Vec::new()),
        "Click" => (part("click"), Vec::new()),
        "Reject" => (part("reject"), Vec::new()),
        "Rendering Failure" => (part("failure"), Vec::new()),
        "Subscription" => (part("subscription"), Vec::new()),
        "Received" => (part("receipt"), Vec::new()),
        _ => (part("send"), Vec::new()),
    }
}

/// Whom it is about, each with what was said of them: nobody is one too.
fn parties(known: Json<'_>, part: Json<'_>, means: Meaning) -> Vec<Party> {
    let destination = known.at("mail").at("destination").texts();
    let whom = |address| Party { address: Some(address), ..Party::default() };
    let listed = ["bouncedRecipients", "delayedRecipients", "complainedRecipients"];
    let listed: Vec<Party> = listed
        .iter()
        .flat_map(|name| part.at(name).list())
        .map(|one| Party {
            address: one.at("emailAddress").owned(),
            status: one.at("status").owned(),
            diagnostic: one.at("diagnosticCode").owned(),
        })
        .collect();
    let parties: Vec<Party> = match means {
        _ if !listed.is_empty() => listed,
        Meaning::Inbound | Meaning::Delivery => {
            let recipients = part.at("recipients").texts();
            (if recipients.is_empty() { destination } else { recipients }).into_iter().map(whom).collect()
        }
        // It failed for everybody that it was for.
        Meaning::Bounce(_) => {
            let diagnostic = part.at("reason").or(part.at("errorMessage")).owned();
            destination.into_iter().map(|address| Party { diagnostic: diagnostic.clone(), ..whom(address) }).collect()
        }
        // SES does not tell which of several opened it.
        Meaning::Open | Meaning::Complaint if destination.len() == 1 => destination.into_iter().map(whom).collect(),
        Meaning::Open | Meaning::Complaint | Meaning::Other => Vec::new(),
    };
    if parties.is_empty() { vec![Party::default()] } else { parties }
}

/// What the notification carries of a message that came in.
pub(super) fn carried(envelope: &Envelope) -> Option<Carried> {
    let message: serde_json::Value = serde_json::from_str(&envelope.message).ok()?;
    let known = Json::of(&message);
    if let Some(raw) = content(known) {
        return Some(Carried { raw, ..Carried::default() });
    }
    let headers = headers(known);
    let raw = assembled(headers.iter().map(|(name, value)| (&**name, &**value)), None, None);
    let note = "Amazon SES stored the message (in S3) and told of its headers alone: this is all that is here";
    Some(Carried { raw, notes: vec![note.to_owned()], ..Carried::default() })
}

/// The message, where the rule's action puts it into the notification.
fn content(known: Json<'_>) -> Option<Vec<u8>> {
    let content = known.at("content").text()?;
    let encoding = known.at("receipt").at("action").at("encoding").owned().unwrap_or_default();
    let plain: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = encoding.eq_ignore_ascii_case("base64").then(|| STANDARD.decode(&plain).ok()).flatten();
    Some(decoded.unwrap_or_else(|| content.as_bytes().to_vec()))
}

fn headers(known: Json<'_>) -> Vec<(String, String)> {
    let headers = known.at("mail").at("headers").list();
    headers.iter().filter_map(|one| Some((one.at("name").owned()?, one.at("value").owned()?))).collect()
}

/// A message that came in: with its text where the rule's action puts the message into the notification, else (in S3) with
/// what its headers say.
fn arrival(known: Json<'_>) -> Inbound {
    let (mail, common) = (known.at("mail"), known.at("mail").at("commonHeaders"));
    let headers = headers(known);
    let from = common.at("from").texts().into_iter().next().or_else(|| mail.at("source").owned());
    Inbound {
        from: from.unwrap_or_default(),
        to: common.at("to").texts(),
        subject: common.at("subject").owned().unwrap_or_default(),
        text: content(known).map(|raw| plain_text(&raw)).unwrap_or_default(),
        auto: is_auto(headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
    }
}
