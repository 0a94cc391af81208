//! Amazon SES, over SNS: what became of messages, and messages that came in, in envelopes that SNS signs.
//!
//! The signature is checked with a certificate that the envelope names. It is an input here: [`Dialect::certificate`] says
//! where it lies, which is never anywhere but at the SNS of a topic that the source is set to.

mod sns;
#[cfg(test)]
pub(super) mod tests;
mod told;

use url::Url;

use self::sns::Envelope;
use super::{
    Carried, Dialect, Keys, Malformed, Meaning, RawRequest, Rejection, Row, Verified, failure::Label, manual::Manual,
    settings::Settings, vocabulary::row,
};
use crate::domain::{clock::UnixMillis, event::NewEvent};

/// The dialect.
pub(super) struct Ses;

impl Dialect for Ses {
    fn name(&self) -> &'static str {
        "ses"
    }

    fn manual(&self) -> Manual {
        MANUAL
    }

    fn check(&self, settings: &Settings) -> Result<(), String> {
        if settings.topics.is_empty() {
            return Err("a source of Amazon SES needs the ARN of each topic that it may come from: --topic \
                        arn:aws:sns:REGION:ACCOUNT:NAME"
                .to_owned());
        }
        settings.topics.iter().find_map(|topic| sns::no_topic(topic)).map_or(Ok(()), Err)
    }

    fn certificate(
        &self,
        request: &RawRequest,
        settings: &Settings,
        now: UnixMillis,
    ) -> Result<Option<Url>, Rejection> {
        sns::certificate_url(request, settings, now).map(Some)
    }

    fn verify<'a>(&self, request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection> {
        let auth = sns::verify(request, keys, now)?;
        Ok(Verified::vouch(request, auth, true, now))
    }

    fn confirmation(&self, verified: &Verified<'_>) -> Result<Option<Url>, Malformed> {
        let envelope = read(verified)?;
        if envelope.kind != "SubscriptionConfirmation" {
            return Ok(None);
        }
        let elsewhere = || {
            Malformed(
                "`SubscribeURL` must confirm the subscription of `TopicArn`, at the SNS of the topic's region".into(),
            )
        };
        envelope.confirmation().ok_or_else(elsewhere).map(Some)
    }

    fn carried(&self, verified: &Verified<'_>) -> Option<Carried> {
        told::carried(&read(verified).ok()?)
    }

    fn normalise(&self, verified: &Verified<'_>, _: &Settings) -> Result<Vec<NewEvent>, Malformed> {
        told::events(&read(verified)?, verified.now)
    }
}

fn read(verified: &Verified<'_>) -> Result<Envelope, Malformed> {
    Envelope::parse(verified.body()).ok_or_else(|| Malformed("the body must be an envelope of Amazon SNS".into()))
}

const ROWS: [Row; 47] = [
    row("Received", Meaning::Inbound),
    row("Delivery", Meaning::Delivery),
    row("Bounce", Meaning::Bounce(Label::HARD)),
    row("Bounce/Permanent", Meaning::Bounce(Label::HARD)),
    row("Bounce/Permanent/General", Meaning::Bounce(Label::HARD)),
    row("Bounce/Permanent/NoEmail", Meaning::Bounce(Label::HARD.because("user_unknown"))),
    row("Bounce/Permanent/Suppressed", Meaning::Bounce(Label::SUPPRESSED)),
    row("Bounce/Permanent/OnAccountSuppressionList", Meaning::Bounce(Label::SUPPRESSED)),
    row("Bounce/Permanent/UnsubscribedRecipient", Meaning::Bounce(Label::SUPPRESSED)),
    // SES has tried for as long as it does.
    row("Bounce/Transient", Meaning::Bounce(Label::SOFT)),
    row("Bounce/Transient/General", Meaning::Bounce(Label::SOFT)),
    row("Bounce/Transient/MailboxFull", Meaning::Bounce(Label::SOFT.because("mailbox_full"))),
    row("Bounce/Transient/MessageTooLarge", Meaning::Bounce(Label::SOFT.because("too_large"))),
    row("Bounce/Transient/CustomTimeoutExceeded", Meaning::Bounce(Label::SOFT.because("timeout"))),
    row("Bounce/Transient/ContentRejected", Meaning::Bounce(Label::SOFT.because("content"))),
    row("Bounce/Transient/AttachmentRejected", Meaning::Bounce(Label::SOFT.because("content"))),
    row("Bounce/Undetermined", Meaning::Bounce(Label::SOFT.because("undetermined"))),
    row("Bounce/Undetermined/Undetermined", Meaning::Bounce(Label::SOFT.because("undetermined"))),
    row("DeliveryDelay", Meaning::Bounce(Label::DEFERRED)),
    row("DeliveryDelay/InternalFailure", Meaning::Bounce(Label::DEFERRED)),
    row("DeliveryDelay/General", Meaning::Bounce(Label::DEFERRED)),
    row("DeliveryDelay/MailboxFull", Meaning::Bounce(Label::DEFERRED.because("mailbox_full"))),
    row("DeliveryDelay/SpamDetected", Meaning::Bounce(Label::DEFERRED.because("spam_block"))),
    row("DeliveryDelay/RecipientServerError", Meaning::Bounce(Label::DEFERRED)),
    row("DeliveryDelay/IPFailure", Meaning::Bounce(Label::DEFERRED.because("blocked"))),
    row("DeliveryDelay/TransientCommunicationFailure", Meaning::Bounce(Label::DEFERRED.because("network"))),
    row("DeliveryDelay/BYOIPHostNameLookupUnavailable", Meaning::Bounce(Label::DEFERRED)),
    row("DeliveryDelay/SendingDeferral", Meaning::Bounce(Label::DEFERRED)),
    row("DeliveryDelay/Undetermined", Meaning::Bounce(Label::DEFERRED.because("undetermined"))),
    row("Reject", Meaning::Bounce(Label::HARD.because("rejected"))),
    row("Rendering Failure", Meaning::Bounce(Label::HARD.because("failed"))),
    row("Complaint", Meaning::Complaint),
    row("Complaint/abuse", Meaning::Complaint),
    row("Complaint/fraud", Meaning::Complaint),
    row("Complaint/virus", Meaning::Complaint),
    row("Complaint/other", Meaning::Complaint),
    // An earlier complaint keeps SES from sending.
    row("Complaint/OnAccountSuppressionList", Meaning::Complaint),
    // Reports that complain of nothing: RFC 5965 and RFC 6591 have them in the same form.
    row("Complaint/not-spam", Meaning::Other),
    row("Complaint/auth-failure", Meaning::Other),
    row("Open", Meaning::Open),
    row("Send", Meaning::Other),
    row("Click", Meaning::Other),
    row("Subscription", Meaning::Other),
    row("AmazonSnsSubscriptionSucceeded", Meaning::Other),
    // What SNS tells of itself, and what it passes on that is none of SES.
    row("SubscriptionConfirmation", Meaning::Other),
    row("UnsubscribeConfirmation", Meaning::Other),
    row("Notification", Meaning::Other),
];

const MANUAL: Manual = Manual {
    title: "Amazon SES over SNS, events, notifications and inbound",
    auth: "the envelope's `Signature`: RSA with SHA-256 (`SignatureVersion` 2; `rsa-sha256`) or, unless the source takes none, with \
           SHA-1 (1; `rsa-sha1`), by the certificate at `SigningCertURL`. That is fetched by https from the SNS of the topic's \
           region and from nowhere else, and only for a topic that the source is set to. `Timestamp` may lie 300 s ahead, and \
           behind by the hour more for which SNS tries. Raw message delivery carries no signature and is refused",
    secret: None,
    answers: "400 to what is not understood, which stays in quarantine; 503, which SNS tries again, where a certificate could not \
              be fetched or a subscription not be confirmed; 401 and 400 it does not try again",
    steps: &[
        "In Amazon SNS create a standard topic, set its signature version to 2 (aws sns set-topic-attributes --topic-arn ARN \
         --attribute-name SignatureVersion --attribute-value 2), and give its ARN to --topic.",
        "In the topic create a subscription: protocol HTTPS, endpoint {url}, raw message delivery off. It is confirmed by \
         mailbell, if it runs and the topic is the one given; the console then says Confirmed.",
        "In Amazon SES open Configuration sets, your set, Event destinations, and add the topic for every event; or open the \
         identity, Notifications, and set the topic for bounces, complaints and deliveries.",
        "For incoming mail open Email receiving, your rule, and add the action: Publish to Amazon SNS topic, encoding Base64 \
         (up to 150 KB; of larger ones, stored in S3, only what the headers say is told).",
        "To see it work send a message from SES to bounce@simulator.amazonses.com: no sample can be signed here, for only \
         Amazon has the key.",
    ],
    fields: &[
        (
            "event_id",
            "`feedbackId` of a bounce or complaint; else a digest of the name, `mail.messageId` and the time; with several recipients \
             one of it and the recipient; of what SNS tells of itself `MessageId`",
        ),
        ("timestamp", "`timestamp` of the named part, or `mail.timestamp`"),
        ("mailbox", "`mail.source`; of a message that came in each of `receipt.recipients`"),
        ("message_id", "`mail.messageId`"),
        (
            "recipient",
            "each of `bouncedRecipients`, `delayedRecipients`, `complainedRecipients` or `delivery.recipients`; for `Reject` and \
             `Rendering Failure` each of `mail.destination`; for `Open` where there is one",
        ),
        ("bounce_code", "`status`, or a code in `diagnosticCode`"),
        ("diagnostic", "`diagnosticCode`, `reject.reason` or `failure.errorMessage`"),
        ("smtp_response", "`delivery.smtpResponse`"),
        ("feedback_type", "`complaint.complaintFeedbackType`"),
        ("snippet", "the text of the message in `content`; none where it lies in S3"),
    ],
    rows: &ROWS,
};
