//! `/v1/account` and `/v1/usage`: there is one account, and it is the machine's. It has no quota.

use std::sync::Arc;

use axum::{Extension, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Done, Failure, Gone, gone},
    auth::Caller,
    input::{JsonBody, Query},
};
use crate::{
    bell::oversight::{CLOSED, Oversight},
    domain::{clock::UnixMillis, office::DAY_MILLIS},
    mail::api::{AccountChange, Api},
    store::oversight::Decider,
};

/// Whose service this is. A limit that does not exist is null.
#[derive(Serialize, JsonSchema)]
pub(super) struct Account {
    id: &'static str,
    name: String,
    slug: &'static str,
    plan: &'static str,
    oversight_email: Option<String>,
    physical_address: Option<String>,
    monthly_email_quota: Option<u64>,
    emails_sent_this_month: u64,
    max_mailboxes: Option<u64>,
    mailboxes: usize,
    storage_used_bytes: u64,
    max_storage_bytes: Option<u64>,
    is_active: bool,
    sending_disabled: bool,
    sending_disabled_reason: Option<String>,
    key: Asker,
}

/// Who asks.
#[derive(Serialize, JsonSchema)]
struct Asker {
    name: String,
    scopes: Vec<&'static str>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct AccountWords {
    name: Option<String>,
    oversight_email: Option<String>,
    physical_address: Option<String>,
}

/// A change that was made.
#[derive(Serialize, JsonSchema)]
pub(super) struct Updated {
    status: &'static str,
}

pub(super) async fn show(State(api): State<Arc<Api>>, Caller(key): Caller) -> Result<Done<Account>, Failure> {
    let mailboxes = api.mailboxes(&key).await?.len();
    let (account, month, stored_bytes) = api.account(&key).await?;
    let scopes = key.scopes.iter().map(|scope| scope.as_str()).collect();
    Ok(Answer(Account {
        id: "local",
        name: account.name.unwrap_or_else(|| "mailbell".to_owned()),
        slug: "mailbell",
        plan: "embedded",
        oversight_email: account.oversight_email,
        physical_address: account.physical_address,
        monthly_email_quota: None,
        emails_sent_this_month: month.sent,
        max_mailboxes: None,
        mailboxes,
        storage_used_bytes: stored_bytes,
        max_storage_bytes: None,
        is_active: true,
        sending_disabled: false,
        sending_disabled_reason: None,
        key: Asker { name: key.name, scopes },
    }))
}

/// Ends all that belongs to the account, with what waits for an operator: letters are in it. The gate has seen to it that an
/// operator wants it.
pub(super) async fn close(
    State(api): State<Arc<Api>>,
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
) -> Result<Done<Gone>, Failure> {
    let by = Decider::Api(key.name.clone());
    api.close_account(&key, async move { oversight.end_what_waits(&by, CLOSED).await }).await?;
    Ok(gone())
}

pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    JsonBody(words): JsonBody<AccountWords>,
) -> Result<Done<Updated>, Failure> {
    let AccountWords { name, oversight_email, physical_address } = words;
    api.change_account(&key, AccountChange { name, oversight_email, physical_address }).await?;
    Ok(Answer(Updated { status: "updated" }))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Which {
    /// Unix milliseconds; the beginning of this month when left out.
    from: Option<String>,
    /// Unix milliseconds; now when left out.
    to: Option<String>,
    /// `daily`, or nothing.
    breakdown: Option<String>,
    /// `summary` (when left out) or `daily`: the same in another client's words.
    period: Option<String>,
}

/// What was used.
#[derive(Serialize, JsonSchema)]
pub(super) struct UsageSummary {
    /// Unix milliseconds.
    from: i64,
    /// Unix milliseconds.
    to: i64,
    emails_sent: u64,
    emails_received: u64,
    api_calls: u64,
    oversight_actions: u64,
}

/// What was used, by day.
#[derive(Serialize, JsonSchema)]
pub(super) struct UsageDaily {
    from: i64,
    to: i64,
    data: Vec<UsageCount>,
}

/// What was used, as a sum or by day.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Used {
    Summary(UsageSummary),
    Daily(UsageDaily),
}

/// How much of one kind there was on a day.
#[derive(Serialize, JsonSchema)]
struct UsageCount {
    /// Such as `2026-11-24`, in UTC.
    date: String,
    /// `email_sent`, `email_received` or `api_call`.
    event_type: &'static str,
    count: u64,
}

pub(super) async fn usage(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    Query(which): Query<Which>,
) -> Result<Done<Used>, Failure> {
    let daily = match (which.breakdown.as_deref(), which.period.as_deref()) {
        (None, None | Some("summary")) => false,
        (Some("daily"), None | Some("summary" | "daily")) | (None, Some("daily")) => true,
        _ => {
            return Err(Failure::Malformed("`breakdown` is daily or left out; `period` is summary or daily".into()));
        }
    };
    let (span, days) = api.usage(&key, moment("from", which.from)?, moment("to", which.to)?).await?;
    let (from, to) = (span.from.0, span.to.0);
    if daily {
        let data = days.iter().flat_map(|day| {
            let date: String = UnixMillis(day.day * DAY_MILLIS).to_string().chars().take(10).collect();
            let count = move |event_type, count| UsageCount { date: date.clone(), event_type, count };
            let all = [
                ("email_sent", day.usage.sent),
                ("email_received", day.usage.received),
                ("api_call", day.usage.api_calls),
            ];
            all.into_iter().filter(|(_, many)| *many > 0).map(move |(kind, many)| count(kind, many))
        });
        return Ok(Answer(Used::Daily(UsageDaily { from, to, data: data.collect() })));
    }
    let sum: crate::domain::office::Usage = days.into_iter().map(|day| day.usage).sum();
    Ok(Answer(Used::Summary(UsageSummary {
        from,
        to,
        emails_sent: sum.sent,
        emails_received: sum.received,
        api_calls: sum.api_calls,
        oversight_actions: 0,
    })))
}

fn moment(name: &str, text: Option<String>) -> Result<Option<UnixMillis>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let millis = text.parse().ok().filter(|millis| (0..=MILLIS_MAX).contains(millis));
    millis.map(|millis| Some(UnixMillis(millis))).ok_or_else(|| {
        Failure::Malformed(format!("`{name}` must be a moment in Unix milliseconds, such as 1795514400000"))
    })
}

/// The year 9999: nobody has mail beyond it.
const MILLIS_MAX: i64 = 253_402_300_800_000;
