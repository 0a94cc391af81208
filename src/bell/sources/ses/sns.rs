//! The envelope of Amazon SNS: who may fill it, how it is signed, and where its certificate lies.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::super::{Keys, RawRequest, Rejection, certificate::Certificate, json, settings::Settings};
use crate::{
    domain::{clock::UnixMillis, event::Auth},
    signing::rsa::{self, Digest},
};

/// SNS signs when something is published, and tries a subscription for at most 3,600 seconds after that.
const TRIED_FOR: Duration = Duration::from_hours(1);

/// What is read before the signature is checked: all of it is signed but the last five and, in notifications, the two of a
/// subscription.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct Envelope {
    #[serde(rename = "Type")]
    pub(super) kind: String,
    pub(super) message_id: String,
    pub(super) topic_arn: String,
    pub(super) message: String,
    pub(super) timestamp: String,
    subject: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
    token: Option<String>,
    signature_version: String,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
}

/// A topic: the region that it is in, and the rest of its host's name.
struct Topic<'a> {
    region: &'a str,
    suffix: &'static str,
}

impl<'a> Topic<'a> {
    /// Takes `arn:aws:sns:REGION:ACCOUNT:NAME` apart.
    fn read(arn: &'a str) -> Option<Self> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "sns", region, account, name] = parts[..] else { return None };
        let suffix = match partition {
            "aws" | "aws-us-gov" => "amazonaws.com",
            "aws-cn" => "amazonaws.com.cn",
            _ => return None,
        };
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        let region_is = region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let account_is = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        (region.len() >= 3 && region_is && account_is && plain(name)).then_some(Self { region, suffix })
    }

    /// `text` as a URL of the topic's own SNS, over https at the usual port: nothing else is ever asked for.
    fn url(&self, text: &str) -> Option<Url> {
        let url: Url = text.parse().ok()?;
        let host = format!("sns.{}.{}", self.region, self.suffix);
        let own = url.scheme() == "https"
            && url.host_str() == Some(&host)
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        own.then_some(url)
    }
}

/// Why `arn` is no topic that a source can be set to, if so.
pub(super) fn no_topic(arn: &str) -> Option<String> {
    Topic::read(arn)
        .is_none()
        .then(|| format!("`{arn}` is no topic; write its ARN, such as arn:aws:sns:eu-west-1:123456789012:mail-events"))
}

impl Envelope {
    /// The envelope of a topic that the source is set to, filled lately; its signature is not checked yet.
    fn read(request: &RawRequest, settings: &Settings, now: UnixMillis) -> Result<Self, Rejection> {
        let header = |name| request.sole_header(name);
        if header("x-amz-sns-rawdelivery").is_some_and(|raw| raw.eq_ignore_ascii_case("true")) {
            return Err(Rejection::Raw);
        }
        let envelope = Self::parse(&request.body).ok_or(Rejection::Missing)?;
        let kind = header("x-amz-sns-message-type").ok_or(Rejection::Missing)?;
        let id = header("x-amz-sns-message-id").ok_or(Rejection::Missing)?;
        if kind != envelope.kind || id != envelope.message_id {
            return Err(Rejection::Wrong);
        }
        if !settings.topics.contains(&envelope.topic_arn) {
            return Err(Rejection::Topic);
        }
        let at = json::moment(&envelope.timestamp).ok_or(Rejection::Stale)?;
        let tolerance = settings.tolerance();
        if at > now.plus(tolerance) || at < now.minus(TRIED_FOR + tolerance) {
            return Err(Rejection::Stale);
        }
        Ok(envelope)
    }

    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// How it is signed, if the source takes that.
    fn scheme(&self, settings: &Settings) -> Result<(Digest, Auth), Rejection> {
        match self.signature_version.as_str() {
            "1" if !settings.sha256_only => Ok((Digest::Sha1, Auth::RsaSha1)),
            "2" => Ok((Digest::Sha256, Auth::RsaSha256)),
            _ => Err(Rejection::Wrong),
        }
    }

    /// What is signed: names and values, a line each, in this order; what is absent is left out.
    fn signed(&self) -> Option<String> {
        let (message, id) = (Some(("Message", &self.message)), Some(("MessageId", &self.message_id)));
        let (at, topic) = (Some(("Timestamp", &self.timestamp)), Some(("TopicArn", &self.topic_arn)));
        let kind = Some(("Type", &self.kind));
        let lines = match self.kind.as_str() {
            "Notification" => {
                vec![message, id, self.subject.as_ref().map(|subject| ("Subject", subject)), at, topic, kind]
            }
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => {
                let url = Some(("SubscribeURL", self.subscribe_url.as_ref()?));
                vec![message, id, url, at, Some(("Token", self.token.as_ref()?)), topic, kind]
            }
            _ => return None,
        };
        Some(lines.into_iter().flatten().flat_map(|(name, value)| [name, "\n", value.as_str(), "\n"]).collect())
    }

    /// Where to confirm the subscription that it asks to confirm.
    pub(super) fn confirmation(&self) -> Option<Url> {
        let url = Topic::read(&self.topic_arn)?.url(self.subscribe_url.as_deref()?)?;
        let says = |name: &str, value: &str| url.query_pairs().any(|(one, other)| one == name && other == value);
        (says("Action", "ConfirmSubscription") && says("TopicArn", &self.topic_arn)).then_some(url)
    }
}

/// Where the certificate lies that the request has to be checked with.
pub(super) fn certificate_url(request: &RawRequest, settings: &Settings, now: UnixMillis) -> Result<Url, Rejection> {
    let envelope = Envelope::read(request, settings, now)?;
    envelope.scheme(settings)?;
    let topic = Topic::read(&envelope.topic_arn).ok_or(Rejection::Topic)?;
    let url = topic.url(&envelope.signing_cert_url).ok_or(Rejection::Certificate)?;
    let is_pem = url.path().rsplit_once('.').is_some_and(|(_, kind)| kind == "pem");
    let is_pem = is_pem && url.query().is_none() && url.fragment().is_none();
    if is_pem { Ok(url) } else { Err(Rejection::Certificate) }
}

/// How the request is signed, if it is, by the certificate that was fetched for it.
pub(super) fn verify(request: &RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Auth, Rejection> {
    let envelope = Envelope::read(request, keys.settings, now)?;
    let (digest, auth) = envelope.scheme(keys.settings)?;
    let vouches =
        |certificate: &&Certificate| certificate.is_valid(now) && certificate.names().iter().any(|name| is_sns(name));
    let certificate = keys.certificate.filter(vouches).ok_or(Rejection::Certificate)?;
    let signed = envelope.signed().ok_or(Rejection::Missing)?;
    let is_its = rsa::verify(certificate.rsa_key(), digest, signed.as_bytes(), &envelope.signature);
    if is_its { Ok(auth) } else { Err(Rejection::Wrong) }
}

/// Whether a certificate for `name` is one that SNS signs with: `sns`, `sns-signing` or `sns-REGION`, with or without a
/// region behind it, at Amazon.
fn is_sns(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let Some(own) = name.strip_suffix(".amazonaws.com").or_else(|| name.strip_suffix(".amazonaws.com.cn")) else {
        return false;
    };
    let (first, region) = own.split_once('.').unwrap_or((own, ""));
    (first == "sns" || first.starts_with("sns-")) && !region.contains('.')
}
