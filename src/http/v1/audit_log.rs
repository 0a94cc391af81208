//! `/v1/audit-log`: the house's record, in the service's words, the newest entry first.

use std::sync::Arc;

use axum::{Extension, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    answer::{Answer, Done, Failure},
    auth::Caller,
    input::{Query, Within},
    shapes::Moment,
};
use crate::{
    bell::oversight::Oversight,
    mail::api::{Api, ApiError},
    store::audit::Row,
};

/// Entries of one answer, unless others are asked for.
const LIMIT_DEFAULT: u32 = 50;
/// At most.
const LIMIT_MAX: u32 = 100;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Which {
    limit: Option<Within<1, LIMIT_MAX>>,
    /// That of the page before.
    cursor: Option<String>,
}

/// What was done, by whom, and what was kept of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct AuditLog {
    entries: Vec<Entry>,
    cursor: Option<String>,
}

/// One entry of the record; `mailbell audit` shows and checks its chain.
#[derive(Serialize, JsonSchema)]
struct Entry {
    id: String,
    /// The tool or the operator's command, or else what happened.
    action: String,
    /// The kind of entry, such as `events`, `intent`, `result` or `leased`.
    resource_type: String,
    resource_id: Option<String>,
    /// Whose token it was, where it was done with one.
    actor_key_id: Option<String>,
    /// All that was kept: arguments without bodies and secrets.
    metadata: Map<String, Value>,
    created_at: Moment,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        let metadata = row.entry.as_object().cloned().unwrap_or_default();
        let text = |name: &str| metadata.get(name).and_then(Value::as_str).map(str::to_owned);
        let kind = text("what").unwrap_or_default();
        Self {
            id: row.id.to_string(),
            action: text("tool").or_else(|| text("command")).unwrap_or_else(|| kind.clone()),
            resource_type: kind,
            resource_id: text("holder"),
            actor_key_id: text("principal"),
            created_at: row.at.into(),
            metadata,
        }
    }
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
    Query(which): Query<Which>,
) -> Result<Done<AuditLog>, Failure> {
    api.audit(&key)?;
    let limit = which.limit.map_or(LIMIT_DEFAULT, |Within(limit)| limit);
    let before = which
        .cursor
        .map(|cursor| cursor.parse::<i64>().ok().filter(|id| *id > 0))
        .map(|id| id.ok_or_else(|| Failure::Malformed("`cursor` must be that of an earlier answer, unchanged".into())))
        .transpose()?;
    let rows = oversight.record_before(before, limit).await.map_err(ApiError::from)?;
    // Ids have no gaps, so a page that is full has one before it, unless it holds the first.
    let full = u32::try_from(rows.len()).is_ok_and(|found| found == limit);
    let cursor = rows.last().map(|row| row.id).filter(|oldest| full && *oldest > 1);
    Ok(Answer(AuditLog {
        entries: rows.into_iter().map(Entry::from).collect(),
        cursor: cursor.map(|oldest| oldest.to_string()),
    }))
}
