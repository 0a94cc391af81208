//! Every event name that the providers document, with the kind that it must become: whoever takes one out of a dialect's table,
//! or changes what it means, changes it here too.

use super::{Meaning, dialect};

/// Kinds: I inbound, D delivery, H hard and S soft bounce, C complaint, O open, - other.
const DOCUMENTED: &[(&str, &str)] = &[
    (
        "multimail",
        "inbound=I delivery=D bounce=H complaint=C open=O message.received=I message.delivered=D message.bounced=H \
                   message.complained=C message.sent=-",
    ),
    (
        "resend",
        "email.delivered=D email.bounced=H email.delivery_delayed=S email.suppressed=H email.failed=H email.complained=C \
                email.opened=O email.received=I email.sent=- email.scheduled=- email.clicked=-",
    ),
    (
        "agentmail",
        "message.received=I message.delivered=D message.bounced=H message.complained=C message.rejected=H message.sent=-",
    ),
    (
        "postmark",
        "Delivery=D Bounce=H SpamComplaint=C Open=O Click=- SubscriptionChange=- Inbound=I Bounce/HardBounce=H \
                  Bounce/BadEmailAddress=H Bounce/Blocked=H Bounce/ManuallyDeactivated=H Bounce/DMARCPolicy=H \
                  Bounce/SpamNotification=C Bounce/SoftBounce=S Bounce/Transient=S Bounce/DnsError=S Bounce/OpenRelayTest=S \
                  Bounce/AutoResponder=- Bounce/AddressChange=- Bounce/ChallengeVerification=-",
    ),
    (
        "sendgrid",
        "delivered=D bounce=H bounce/bounce=H bounce/blocked=S deferred=S dropped=H spamreport=C open=O processed=- click=- \
                  unsubscribe=- group_unsubscribe=- group_resubscribe=-",
    ),
    ("sendgrid-inbound", "inbound-parse=I"),
    (
        "mailgun",
        "delivered=D failed/permanent=H failed/temporary=S rejected=H complained=C opened=O accepted=- clicked=- \
                 unsubscribed=- route=I",
    ),
    (
        "ses",
        "Delivery=D Bounce/Permanent=H Bounce/Transient=S Bounce/Undetermined=S Complaint=C Open=O DeliveryDelay=S Reject=H \
             Received=I Send=- Click=-",
    ),
];

#[test]
fn every_documented_name_of_an_event_has_its_kind() {
    use crate::domain::event::BounceType;
    for (speaks, names) in DOCUMENTED {
        let rows = dialect(speaks).expect("a dialect").manual().rows;
        for (name, kind) in names.split_whitespace().map(|pair| pair.rsplit_once('=').expect("a name and a kind")) {
            let row = rows.iter().find(|row| row.name.eq_ignore_ascii_case(name));
            let row = row.unwrap_or_else(|| panic!("{speaks} does not know {name}"));
            let is = match row.meaning {
                Meaning::Inbound => "I",
                Meaning::Delivery => "D",
                Meaning::Bounce(label) if label.bounce_type == BounceType::Hard => "H",
                Meaning::Bounce(_) => "S",
                Meaning::Complaint => "C",
                Meaning::Open => "O",
                Meaning::Other => "-",
            };
            assert_eq!(is, kind, "{speaks}: {name}");
        }
    }
}
