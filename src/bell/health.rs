//! What is likely wrong with a source, from what it sent and what of it was refused: pure, for `doctor` to tell.

use std::time::Duration;

use super::{
    intake::UNREADABLE,
    sources::{Dialect, Rejection, SAMPLE, dialect},
    webhooks::SOURCE,
};
use crate::{
    domain::{clock::UnixMillis, event::EventKind, id::SourceName},
    store::sources::{History, Source},
};

/// What was refused longer ago is over.
const RECENT: Duration = Duration::from_hours(7 * 24);
/// Refusals beside events that were taken, from which on it is worth a word.
const OFTEN: i64 = 3;

/// The likely cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what the sentences say")]
pub enum Cause {
    Silent,
    WrongPath,
    WrongSecret,
    ReplacedSecret,
    RewrittenBody,
    Clock,
    NoSignature,
    NotUnderstood,
    NoApiKey,
    Refused,
}

/// What is likely wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Why.
    pub cause: Cause,
    /// What is so.
    pub says: String,
    /// What to do.
    pub todo: String,
}

/// What is likely wrong with `source`. `strays`: how many requests came under names that no source has, and when the last.
pub fn findings(
    source: &Source,
    history: &History,
    strays: Option<(i64, UnixMillis)>,
    now: UnixMillis,
) -> Vec<Finding> {
    let name = &source.name;
    let recent = |at: UnixMillis| at.plus(RECENT) > now;
    // A sample of ours shows that the receiver works, and not that the provider reaches it.
    let told = history.told.iter().filter(|(_, its_name, ..)| its_name.as_deref() != Some(SAMPLE));
    let (times, last) =
        told.clone().fold((0, None), |(sum, last), (_, _, times, at)| (sum + times, last.max(Some(*at))));
    let refused: Vec<_> = history.refused.iter().filter(|(_, _, at)| recent(*at)).collect();
    let mut found = Vec::new();
    if times == 0 && refused.is_empty() && name.as_str() != SOURCE {
        found.push(silent(name, strays.filter(|(_, at)| recent(*at))));
    }
    for (reason, refusals, at) in refused {
        let often = *refusals >= OFTEN && (refusals * 10 >= times || Some(*at) > last);
        if times == 0 || often {
            found.push(refusal(source, reason, (*refusals, *at), (times, last)));
        }
    }
    let speaker = dialect(&source.dialect);
    let inbound = EventKind::Inbound.as_str();
    if let Some(remainder) = speaker.and_then(Dialect::remainder)
        && source.api_key.is_none()
        && history.told.iter().any(|(kind, ..)| kind == inbound)
    {
        let provider = remainder.provider();
        found.push(Finding {
            cause: Cause::NoApiKey,
            says: format!("the texts of its messages stay with {provider}, for it has no key of {provider}'s API"),
            todo: format!("mailbell source api-key {name} --file FILE"),
        });
    }
    found
}

fn silent(name: &SourceName, strays: Option<(i64, UnixMillis)>) -> Finding {
    match strays {
        Some((times, at)) => Finding {
            cause: Cause::WrongPath,
            says: format!(
                "nothing of it ever came, while {times} requests came to /hooks under names that no source has, the last at {at}"
            ),
            todo: format!(
                "the URL at the provider has a wrong path: it must end in /hooks/{name} (mailbell source show {name})"
            ),
        },
        None => Finding {
            cause: Cause::Silent,
            says: "nothing of it ever came".to_owned(),
            todo: format!(
                "see that the provider has its URL and reaches it from the internet (docs/receiver.md, tunnels); `mailbell \
                 source test {name}` tries the receiver alone"
            ),
        },
    }
}

fn refusal(
    source: &Source,
    reason: &str,
    (refusals, at): (i64, UnixMillis),
    (times, last): (i64, Option<UnixMillis>),
) -> Finding {
    let name = &source.name;
    let ever = if times == 0 { "nothing of it was ever verified, and " } else { "" };
    let says = |what: &str| format!("{ever}{refusals} requests {what}, the last at {at}");
    // A secret that stands in the URL, and signs nothing.
    let shared = dialect(&source.dialect).is_some_and(|speaker| speaker.manual().auth.contains("`shared-secret`"));
    let is = |rejection: Rejection| reason == rejection.as_str();
    let (cause, says, todo) = match () {
        () if is(Rejection::Wrong) && shared => (
            Cause::WrongSecret,
            says("came with another secret"),
            format!("give the provider the URL that ends in /hooks/{name}/SECRET, with the secret of this source"),
        ),
        () if is(Rejection::Wrong) && times == 0 => (
            Cause::WrongSecret,
            says("carry a signature that its secret does not make"),
            format!(
                "the secret is likely another webhook's: copy it from the provider again (mailbell source rotate {name} \
                 --secret-stdin); if it is right, something on the way rewrites the body"
            ),
        ),
        () if is(Rejection::Wrong) && Some(at) > last => (
            Cause::ReplacedSecret,
            says("carry a signature that its secret does not make, and nothing was verified since"),
            format!("the provider likely has a new secret: mailbell source rotate {name} --secret-stdin"),
        ),
        () if is(Rejection::Wrong) => (
            Cause::RewrittenBody,
            says("carry a signature that its secret does not make, while others are verified"),
            "something on the way likely rewrites some bodies, or a second webhook with another secret posts here too: let \
             proxies pass the bytes as they are"
                .to_owned(),
        ),
        () if is(Rejection::Rewritten) => (
            Cause::RewrittenBody,
            says("were written anew on their way"),
            "have the proxy, tunnel or framework before this receiver pass the body's bytes as they are; it likely parses \
             JSON and writes it again"
                .to_owned(),
        ),
        () if is(Rejection::Stale) => (
            Cause::Clock,
            says("were signed at a time that is too far from this machine's"),
            "this machine's clock is likely off: see timedatectl, and have it set by NTP; or something holds requests back"
                .to_owned(),
        ),
        () if is(Rejection::Missing) && shared => (
            Cause::WrongPath,
            says("came without the secret"),
            format!("the URL at the provider has a wrong path: it must end in /hooks/{name}/SECRET"),
        ),
        () if is(Rejection::Missing) => (
            Cause::NoSignature,
            says("carry no signature"),
            format!(
                "see that they are the provider's, that signing is on there, that the dialect {} is right, and that no proxy \
                 drops headers",
                source.dialect
            ),
        ),
        () if reason == UNREADABLE => (
            Cause::NotUnderstood,
            says("were signed and not understood"),
            format!("look at them: mailbell source quarantine {name}; the dialect {} may be the wrong one", source.dialect),
        ),
        () => (
            Cause::Refused,
            says(&format!("were refused: {reason}")),
            format!("mailbell source show {name} tells what was taken"),
        ),
    };
    Finding { cause, says, todo }
}
