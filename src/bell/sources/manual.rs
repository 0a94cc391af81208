//! What people are told of a dialect: for `mailbell source add`, and for the table in `docs/providers.md`.

use std::fmt::Write as _;

use super::{DIALECTS, Label, Meaning, Row};
use crate::domain::event::BounceType;

/// What people are told of a dialect.
#[derive(Debug, Clone, Copy)]
pub struct Manual {
    /// Whose webhooks these are.
    pub title: &'static str,
    /// How they are authenticated, with the word in the event's `auth`.
    pub auth: &'static str,
    /// What the secret is, as the provider calls it; none where there is none.
    pub secret: Option<&'static str>,
    /// What we answer, where it differs from what every source gets.
    pub answers: &'static str,
    /// What to do in the provider's dashboard; `{url}` stands for the receiver's address.
    pub steps: &'static [&'static str],
    /// Our fields, and where they come from.
    pub fields: &'static [(&'static str, &'static str)],
    /// The provider's names, and ours.
    pub rows: &'static [Row],
}

/// The document `docs/providers.md`.
pub fn document() -> String {
    let mut text = String::from(INTRODUCTION);
    for dialect in DIALECTS {
        let manual = dialect.manual();
        let mut line = |line: &str| writeln!(text, "{line}").expect("a String takes what it is given");
        line(&format!("\n## {} (`{}`)\n", manual.title, dialect.name()));
        line(&format!("- **Authenticated** by {}", manual.auth));
        line(&format!("- **Body** of at most {} MiB", dialect.body_bytes_max() >> 20));
        line(&format!("- **Answers**: {}\n", manual.answers));
        line("| our field | comes from |\n|---|---|");
        for (ours, theirs) in manual.fields {
            line(&format!("| `{ours}` | {theirs} |"));
        }
        if dialect.name() == "generic" {
            line(GENERIC);
            continue;
        }
        line("\n| its name | our kind | class |\n|---|---|---|");
        for row in manual.rows {
            let (kind, class) = ours(row.meaning);
            line(&format!("| `{}` | {kind} | {class} |", row.name));
        }
    }
    text.push_str(IMAP);
    text
}

fn ours(meaning: Meaning) -> (&'static str, String) {
    match meaning {
        Meaning::Inbound => ("`inbound`", String::new()),
        Meaning::Delivery => ("`delivery`", String::new()),
        Meaning::Complaint => ("`complaint`", String::new()),
        Meaning::Open => ("`open`", String::new()),
        Meaning::Other => ("`other`", String::new()),
        Meaning::Bounce(Label { bounce_type, last, reason, .. }) => {
            let class = if bounce_type == BounceType::Hard { "hard" } else { "soft" };
            let over = if last { "" } else { ", more tries follow" };
            let reason = reason.map(|reason| format!(", `{reason}`")).unwrap_or_default();
            ("`bounce`", format!("{class}{over}{reason}"))
        }
    }
}

const GENERIC: &str = include_str!("generic/mapping.md");

const INTRODUCTION: &str = "\
# Providers

Made from the code by `tests/it/providers_documented.rs` (`MAILBELL_WRITE_DOCS=1 cargo test --test it providers_documented`); do not edit.

Each provider's name for what happened, and what an agent is told. A name with a slash is that of the event and of a second
field that decides. Names that stand in no table become `other`, with the name as `provider_kind`; every event carries it.

The class of a bounce is that of its enhanced status code, or else of its reply code, wherever the provider puts them; the
class in these tables holds where there is no code. An event is known again by the provider's own id for it, or by a digest of
the named fields.

Every source is answered 200 when its events are on disk, 401 where nothing proves who sent it, 404 where there is no such source, 413
over the limit, and 503 with `Retry-After` where the events could not be stored and should come again.
";

const IMAP: &str = "\n\
## A mailbox elsewhere (`imap`)

Nobody posts here: `mailbell source add NAME --host SERVER …` has the keeper read the mailbox over IMAP (`bell::imap`).

- **Authenticated** by our login there, over TLS that is verified: `api`
- **Message** of at most 25 MiB, unless the source says otherwise; of a larger one the headers
- **Events** come from the source `imap:NAME`, one for each message, known again by its Message-ID, header, size and beginning

| our field | comes from |
|---|---|
| `mailbox` | the source's `--address`, or `--user` |
| `timestamp` | INTERNALDATE |
| `message_id`, `thread_id` | made here; threads by `In-Reply-To`, `References` and what a report is about |
| `message_id` of a report | the report's own: what was sent is not known here, so `tied` is `none` and nothing is suppressed |

| what the message is | our kind | class |
|---|---|---|
| a DSN or another report of failure | `bounce` | by its code |
| a DSN of success | `delivery` |  |
| an abuse report (ARF) or a provider's notice | `complaint` |  |
| any other, a report of delay and an automatic reply (`auto`) among them | `inbound` |  |
";
