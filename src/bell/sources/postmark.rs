//! Postmark: one event a webhook, and messages that came in; nothing is signed.
//! <https://postmarkapp.com/developer/webhooks/webhooks-overview>

use super::{
    Carried, CarriedFile, Dialect, INBOUND_BODY_BYTES_MAX, Keys, Malformed, Meaning, RawRequest, Rejection, Row,
    SAMPLE, Verified,
    carried::assembled,
    event::{Inbound, Told, derived_id, is_auto},
    failure::{Failure, Label},
    json::{self, Json},
    manual::Manual,
    settings::Settings,
    shared,
    vocabulary::{meaning, row},
};
use crate::domain::{clock::UnixMillis, event::NewEvent, secret::Secret};

/// The dialect.
pub(super) struct Postmark;

impl Dialect for Postmark {
    fn name(&self) -> &'static str {
        "postmark"
    }

    fn manual(&self) -> Manual {
        MANUAL
    }

    fn body_bytes_max(&self) -> usize {
        INBOUND_BODY_BYTES_MAX
    }

    fn admits(&self, head: &RawRequest, keys: &Keys<'_>) -> Result<(), Rejection> {
        shared::admits(head, keys)
    }

    fn verify<'a>(&self, request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection> {
        shared::verify(request, keys, now)
    }

    fn normalise(&self, verified: &Verified<'_>, _: &Settings) -> Result<Vec<NewEvent>, Malformed> {
        let body = json::body(verified)?;
        let body = Json::of(&body);
        if !body.is_object() {
            return Err(Malformed("the body must be a JSON object".into()));
        }
        // What came in has no record type.
        let inbound =
            body.at("FromFull").is_object() && body.at("RecordType").text().is_none_or(|kind| kind == "Inbound");
        Ok(vec![if inbound { arrival(body, verified.now) } else { event(body, verified.now) }])
    }

    fn carried(&self, verified: &Verified<'_>) -> Option<Carried> {
        let body = json::body(verified).ok()?;
        let body = Json::of(&body);
        let text = |name: &str| body.at(name).owned();
        // To the byte, where the server is set to send it.
        if let Some(raw) = text("RawEmail") {
            return Some(Carried { raw: raw.into_bytes(), reply: text("StrippedTextReply"), ..Carried::default() });
        }
        let cc: Vec<_> = body.at("CcFull").list().into_iter().filter_map(|one| one.at("Email").owned()).collect();
        let (headers, cc) = (headers(body), ("Cc".to_owned(), cc.join(", ")));
        let placed = headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("cc")).chain([&cc]);
        let (plain, html) = (text("TextBody"), text("HtmlBody"));
        Some(Carried {
            raw: assembled(placed.map(|(name, value)| (&**name, &**value)), plain.as_deref(), html.as_deref()),
            reply: text("StrippedTextReply"),
            files: CarriedFile::list(body.at("Attachments"), ["Name", "ContentType", "ContentLength", "Content"]),
            ..Carried::default()
        })
    }

    fn sample(&self, secret: &Secret, _: &Settings, now: UnixMillis) -> Option<RawRequest> {
        let body = format!(r#"{{"RecordType":"{SAMPLE}","MessageID":"{SAMPLE}.{}","ReceivedAt":"{now}"}}"#, now.0);
        Some(RawRequest { token: Some(secret.clone()), body: body.into_bytes(), ..RawRequest::default() })
    }
}

fn event(body: Json<'_>, now: UnixMillis) -> NewEvent {
    let text = |name: &str| body.at(name).owned();
    let name = text("RecordType").unwrap_or_default();
    let kind = text("Type").filter(|_| name == "Bounce");
    let key = kind.as_ref().map_or_else(|| name.clone(), |kind| format!("{name}/{kind}"));
    let row = meaning(&ROWS, &key);
    // Postmark sends no more to an address that it has made inactive.
    let row = match row.meaning {
        Meaning::Bounce(label) if body.at("Inactive").flag() == Some(true) => {
            Row { meaning: Meaning::Bounce(Label { suppressed: true, ..label }), ..*row }
        }
        _ => *row,
    };
    let (message, recipient) = (text("MessageID"), text("Recipient").or_else(|| text("Email")));
    let at = ["DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt"]
        .iter()
        .fold(body.at(""), |at, name| at.or(body.at(name)));
    let id = text("ID").unwrap_or_else(|| {
        let part = |part: Option<String>| part.unwrap_or_default();
        derived_id(&[&name, &part(message.clone()), &part(recipient.clone()), &part(at.owned())])
    });
    let (details, description) = (text("Details"), text("Description"));
    let told = Told {
        id,
        at: at.moment(),
        mailbox: text("From"),
        message,
        recipient,
        response: details.as_deref(),
        failure: Failure { diagnostic: details.as_deref().or(description.as_deref()), ..Failure::default() },
        name: key,
        ..Told::default()
    };
    told.event(&row, now)
}

fn headers(body: Json<'_>) -> Vec<(String, String)> {
    let headers = body.at("Headers").list();
    headers.into_iter().filter_map(|one| Some((one.at("Name").owned()?, one.at("Value").owned()?))).collect()
}

fn arrival(body: Json<'_>, now: UnixMillis) -> NewEvent {
    let text = |name: &str| body.at(name).owned();
    let person = |one: Json<'_>| {
        let (email, name) = (one.at("Email").owned().unwrap_or_default(), one.at("Name").owned());
        name.map_or_else(|| email.clone(), |name| format!("\"{}\" <{email}>", name.replace('"', "")))
    };
    let to: Vec<_> = body.at("ToFull").list().into_iter().map(person).collect();
    let headers = headers(body);
    let message = text("MessageID");
    let told = Told {
        id: message.clone().unwrap_or_else(|| {
            derived_id(&[
                "Inbound",
                &text("From").unwrap_or_default(),
                &text("Date").unwrap_or_default(),
                &text("Subject").unwrap_or_default(),
            ])
        }),
        at: body.at("Date").moment(),
        mailbox: text("OriginalRecipient").or_else(|| to.first().cloned()),
        message,
        name: "Inbound".to_owned(),
        inbound: Inbound {
            from: person(body.at("FromFull")),
            to,
            subject: text("Subject").unwrap_or_default(),
            text: text("StrippedTextReply").or_else(|| text("TextBody")).unwrap_or_default(),
            auto: is_auto(headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
        },
        ..Told::default()
    };
    told.event(meaning(&ROWS, "Inbound"), now)
}

const ROWS: [Row; 30] = [
    row("Inbound", Meaning::Inbound),
    row("Delivery", Meaning::Delivery),
    row("Bounce", Meaning::Bounce(Label::HARD)),
    row("Bounce/HardBounce", Meaning::Bounce(Label::HARD)),
    row("Bounce/BadEmailAddress", Meaning::Bounce(Label::HARD.because("user_unknown"))),
    row("Bounce/Blocked", Meaning::Bounce(Label::HARD.because("blocked"))),
    row("Bounce/ManuallyDeactivated", Meaning::Bounce(Label::SUPPRESSED)),
    row("Bounce/DMARCPolicy", Meaning::Bounce(Label::HARD.because("auth_failure"))),
    row("Bounce/VirusNotification", Meaning::Bounce(Label::HARD.because("content"))),
    row("Bounce/Unconfirmed", Meaning::Bounce(Label::HARD)),
    row("Bounce/SMTPApiError", Meaning::Bounce(Label::HARD.because("rejected"))),
    row("Bounce/TemplateRenderingFailed", Meaning::Bounce(Label::HARD.because("failed"))),
    row("Bounce/SoftBounce", Meaning::Bounce(Label::SOFT)),
    row("Bounce/Transient", Meaning::Bounce(Label::DEFERRED)),
    row("Bounce/DnsError", Meaning::Bounce(Label::SOFT.because("network"))),
    row("Bounce/OpenRelayTest", Meaning::Bounce(Label::SOFT)),
    row("Bounce/Unknown", Meaning::Bounce(Label::SOFT)),
    row("Bounce/SpamNotification", Meaning::Complaint),
    row("Bounce/SpamComplaint", Meaning::Complaint),
    row("Bounce/AutoResponder", Meaning::Other),
    row("Bounce/AddressChange", Meaning::Other),
    row("Bounce/ChallengeVerification", Meaning::Other),
    row("Bounce/Subscribe", Meaning::Other),
    row("Bounce/Unsubscribe", Meaning::Other),
    row("Bounce/InboundError", Meaning::Other),
    row("SpamComplaint", Meaning::Complaint),
    row("Open", Meaning::Open),
    row("Click", Meaning::Other),
    row("SubscriptionChange", Meaning::Other),
    row("SMTPApiError", Meaning::Bounce(Label::HARD.because("rejected"))),
];

const MANUAL: Manual = Manual {
    title: "Postmark, events and inbound",
    auth: "a secret in the path or as the password of basic authentication, for Postmark signs nothing; `shared-secret`",
    secret: Some("a secret of your own making"),
    answers: "400 to a body that is not understood, which stays in quarantine; never 403, which would keep Postmark from trying again",
    steps: &[
        "In Postmark open your message stream, Webhooks, and add a webhook with the URL {url}/SECRET, or with {url} and basic \
         authentication with the secret as its password. Choose every event.",
        "For incoming mail set the same URL in the inbound stream, Settings, Webhook.",
    ],
    fields: &[
        (
            "event_id",
            "`ID`; else a digest of RecordType, MessageID, recipient and time; of a message that came in `MessageID`",
        ),
        ("timestamp", "`DeliveredAt`, `BouncedAt`, `ReceivedAt`, `ChangedAt` or `Date`"),
        ("mailbox", "`From`; of a message that came in `OriginalRecipient`"),
        ("message_id", "`MessageID`"),
        ("recipient", "`Recipient` or `Email`"),
        ("bounce_code", "a code in `Details`"),
        ("diagnostic", "`Details` or `Description`"),
        ("suppressed", "`Inactive`"),
        ("snippet", "`StrippedTextReply` or `TextBody`"),
    ],
    rows: &ROWS,
};
