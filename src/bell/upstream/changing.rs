//! How changes are asked for: by the gate, and where that has them wait, with all that an operator should see of them.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::{Authority, Upstream, UpstreamError, wire};
use crate::{
    bell::oversight::{Admitted, Asker, Oversight, Pass},
    domain::{id::MessageId, oversight::Change},
};

/// Who asks by a tool; the record of calls knows more of them.
const AN_AGENT: &str = "an agent, by MCP";

impl Upstream {
    /// Asks for a change.
    pub(super) async fn change<T: DeserializeOwned>(&self, change: Change) -> Result<T, UpstreamError> {
        self.change_with(change, BTreeMap::new()).await
    }

    /// The same for one that sets tags, of a message that has these.
    pub(super) async fn change_with<T: DeserializeOwned>(
        &self,
        change: Change,
        tags: BTreeMap<String, String>,
    ) -> Result<T, UpstreamError> {
        let pass = self.admitted(change, tags).await?;
        self.client.change(&pass).await
    }

    /// Has the gate judge a change, wherever it is done then.
    pub(super) async fn admitted(&self, change: Change, tags: BTreeMap<String, String>) -> Result<Pass, UpstreamError> {
        match &self.authority {
            Authority::House => Ok(Pass::of_the_house(change)),
            Authority::Agents(oversight) => match oversight.admit(change, false, tags).await? {
                Admitted::Pass(pass) => Ok(pass),
                Admitted::Refused(sentence) => Err(UpstreamError::Withheld(sentence)),
                Admitted::Hold(change) => Err(self.hold(oversight, change).await),
            },
        }
    }

    /// Does what an operator has approved; of a letter, answers with the message that it became.
    pub(in crate::bell) async fn perform(&self, pass: Pass) -> Result<Option<MessageId>, UpstreamError> {
        if self.is_done_here(&pass).await? {
            return Ok(None);
        }
        if pass.change().letter().is_none() {
            return self.client.change::<IgnoredAny>(&pass).await.map(|_| None);
        }
        let body = self.client.change::<wire::SentBody>(&pass).await?;
        Ok(body.sent().map(|sent| sent.id))
    }

    async fn hold(&self, oversight: &Oversight, change: Change) -> UpstreamError {
        let (change, shown) = match self.resolved(change).await {
            Ok(resolved) => resolved,
            Err(error) => return error,
        };
        match oversight.hold(change, shown, &Asker(AN_AGENT.to_owned())).await {
            Ok(held) => UpstreamError::Pending(held),
            Err(error) => error.into(),
        }
    }

    /// A change as it will be done, and what else of it a person should see. A letter is as the mail service would send it; a
    /// service that does not tell is asked for what was said, and that is shown.
    async fn resolved(&self, change: Change) -> Result<(Change, Value), UpstreamError> {
        let Some((mailbox, answered)) = change.letter() else { return Ok((change, Value::Null)) };
        let mut path = vec!["v1", "mailboxes", mailbox, "preview"];
        path.extend(answered);
        match self.client.preview::<Value>(&path, &change.body).await {
            Ok(mut preview) => {
                let mut body = preview.get_mut("send").map(Value::take).unwrap_or_default();
                if let (Some(body), Some(name)) = (body.as_object_mut(), change.body.get("idempotency_key")) {
                    body.insert("idempotency_key".to_owned(), name.clone());
                }
                Ok((Change { body, ..change }, preview))
            }
            Err(error) if error.is_unknown_here() => {
                let from = change.mailbox.clone();
                let mut shown = json!({ "from": from, "html": null });
                for name in ["to", "cc", "bcc", "subject", "markdown", "send_at"] {
                    shown[name] = change.body.get(name).cloned().unwrap_or_default();
                }
                Ok((change, shown))
            }
            Err(error) => Err(error),
        }
    }
}
