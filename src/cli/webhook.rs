//! `mailbell webhook`: what an operator does to webhooks and their deliveries, through the mail service's API, so that a running
//! house sees it at once. Secrets are shown here and to nobody else.

use std::{sync::Arc, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{
    Failure, Settings, Where,
    answer::{Answer, tell},
    mailbox::{with_api, with_api_on_record},
    terminal::plain,
    time_and_ids,
};
use crate::{
    app::{
        bell_side::{BellSide, open_bell_store},
        notices,
    },
    bell::{
        upstream::{Delivery, Upstream, Webhook as Told},
        webhooks::rotate,
    },
    domain::id::{DeliveryId, WebhookId},
    store::audit::{AuditLog as _, Entry},
    wake::Bell,
};

/// Deliveries shown, at most: as many as the API has on a page.
const DELIVERIES_MAX: u32 = 100;

#[derive(Subcommand)]
pub(super) enum Webhook {
    /// Show the webhooks and how they fare
    List(List),
    /// Print the secret that signs for a webhook; for `operator`, or a mailbox's address, the one that signs notices
    Secret(One),
    /// Make a new secret; the old one signs beside it for a while, in `webhook-signature`
    Rotate(Rotate),
    /// Send nothing more to a webhook; what it is still owed waits, for a day of running time at most
    Disable(One),
    /// Send to a webhook again, first what it is still owed
    Enable(One),
    /// Send a signed probe now, and show what came of it
    Test(One),
    /// Show deliveries, the newest first
    Deliveries(Deliveries),
    /// Send a delivery that is over again, beside the queue
    Replay(OneDelivery),
    /// Give a delivery up that is still owed, so that those behind it go on
    DeadLetter(OneDelivery),
}

#[derive(Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
pub(super) struct One {
    /// Its id
    id: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
pub(super) struct Rotate {
    /// Its id
    id: String,
    /// How long the old secret goes on signing, in seconds; 0 ends it now [default: a day]
    #[arg(long, value_name = "SECS")]
    overlap_secs: Option<u64>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
pub(super) struct Deliveries {
    /// Only those of this webhook
    #[arg(long, value_name = "ID")]
    webhook: Option<String>,
    /// Only those that are so far; dead letters have failed
    #[arg(long)]
    status: Option<Status>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Clone, Copy, ValueEnum)]
enum Status {
    Pending,
    Delivered,
    Failed,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

#[derive(Args)]
pub(super) struct OneDelivery {
    /// Its id
    id: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    answer: Answer,
}

impl One {
    /// What signs the notices to the operator, or of a mailbox to whoever oversees it.
    async fn secret_of_notices(self) -> Result<(), Failure> {
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&self.place.open()?, &ids).await?;
        let about = json!({ "webhook_id": self.id });
        store.record(Entry::Operator { command: "webhook secret", about }, clock.now()).await?;
        let side = BellSide { store: store.into(), bell: Bell::default(), ids, clock };
        let secret = notices::secret(&side, &self.id).await?;
        self.answer.give(json!({ "webhook_id": self.id, "secret": secret.expose() }), secret.expose())
    }

    async fn with(
        self,
        command: &'static str,
        act: impl AsyncFnOnce(Arc<Upstream>, WebhookId, Answer) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Self { id, place, settings, answer } = self;
        let told = Some((command, json!({ "webhook_id": id })));
        with_api_on_record(&place, settings, told, async |api| act(api, WebhookId::new(id), answer).await).await
    }
}

impl OneDelivery {
    async fn with(
        self,
        command: &'static str,
        act: impl AsyncFnOnce(Arc<Upstream>, DeliveryId, Answer) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Self { id, place, settings, answer } = self;
        let told = Some((command, json!({ "delivery_id": id })));
        with_api_on_record(&place, settings, told, async |api| act(api, DeliveryId::new(id), answer).await).await
    }
}

impl Webhook {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run().await,
            Self::Secret(one) if one.id == notices::OPERATOR || one.id.contains('@') => one.secret_of_notices().await,
            Self::Secret(one) => {
                one.with("webhook secret", async |api, id, answer| {
                    let secret = api.webhook(&id).await?.1;
                    answer.give(json!({ "webhook_id": id, "secret": secret.expose() }), secret.expose())
                })
                .await
            }
            Self::Rotate(rotate) => rotate.run().await,
            Self::Disable(one) => {
                one.with("webhook disable", async |api, id, answer| {
                    api.switch_webhook(&id, false).await?;
                    let said = format!("{id} is off; what it is still owed waits, and is a dead letter after 24 hours in which the service ran");
                    answer.give(json!({ "webhook_id": id, "enabled": false }), said)
                })
                .await
            }
            Self::Enable(one) => {
                one.with("webhook enable", async |api, id, answer| {
                    api.switch_webhook(&id, true).await?;
                    let said = format!("{id} is on, and gets first what it is still owed");
                    answer.give(json!({ "webhook_id": id, "enabled": true }), said)
                })
                .await
            }
            Self::Test(one) => {
                one.with("webhook test", async |api, id, answer| {
                    let probe = api.probe_webhook(&id).await?;
                    let came = probe.response_status.map(|status| status.to_string()).or_else(|| probe.error.clone());
                    let (came, word) = (came.unwrap_or_default(), if probe.delivered { "took" } else { "did not take" });
                    let (millis, bytes) = (probe.duration_millis, probe.response_bytes);
                    let told = json!({
                        "webhook_id": id, "delivered": probe.delivered, "response_status": probe.response_status,
                        "error": probe.error, "duration_millis": millis, "response_bytes": bytes,
                    });
                    answer.give(told, format_args!("the endpoint {word} the probe: {}, {millis} ms, {bytes} bytes", plain(&came)))
                })
                .await
            }
            Self::Deliveries(deliveries) => deliveries.run().await,
            Self::Replay(one) => {
                one.with("webhook replay", async |api, id, answer| {
                    let replay = api.replay_delivery(&id).await?;
                    let told = json!({ "delivery_id": replay.id, "status": replay.status, "replay_of": id });
                    answer.give(told, format_args!("{}  {}", replay.id, replay.status))
                })
                .await
            }
            Self::DeadLetter(one) => {
                one.with("webhook dead-letter", async |api, id, answer| {
                    api.give_up_delivery(&id).await?;
                    let said = format!("{id} is a dead letter; those behind it go on");
                    answer.give(json!({ "delivery_id": id, "dead_letter": true }), said)
                })
                .await
            }
        }
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let Self { place, settings, answer } = self;
        with_api(&place, settings, async |api| {
            for webhook in api.webhooks().await? {
                answer.give(listed_json(&webhook), listed(&webhook))?;
            }
            Ok(())
        })
        .await
    }
}

fn listed(webhook: &Told) -> String {
    let scope = webhook.mailbox.as_deref().or(webhook.domain.as_deref()).unwrap_or("every mailbox");
    let mut parts =
        vec![webhook.id.to_string(), webhook.endpoint_url.clone(), scope.to_owned(), webhook.events.join(",")];
    for (count, what) in [(webhook.fare.pending, "pending"), (webhook.fare.dead, "dead")] {
        parts.extend(count.filter(|count| *count > 0).map(|count| format!("{count} {what}")));
    }
    if let Some(since) = webhook.fare.failing_since {
        parts.push(format!("failing since {since} ({})", webhook.fare.last_failure.as_deref().unwrap_or("unknown")));
    }
    parts.extend(webhook.disabled.as_ref().map(|why| format!("off: {why}")));
    parts.join("  ")
}

fn listed_json(webhook: &Told) -> serde_json::Value {
    serde_json::json!({
        "webhook_id": webhook.id,
        "endpoint_url": webhook.endpoint_url,
        "events": webhook.events,
        "mailbox": webhook.mailbox,
        "domain": webhook.domain,
        "disabled_reason": webhook.disabled,
        "failing_since": webhook.fare.failing_since,
        "last_failure": webhook.fare.last_failure,
        "pending_count": webhook.fare.pending,
        "dead_count": webhook.fare.dead,
    })
}

impl Rotate {
    async fn run(self) -> Result<(), Failure> {
        let Self { id, overlap_secs, place, settings, answer } = self;
        let dir = place.open()?;
        let told = Some(("webhook rotate", json!({ "webhook_id": id })));
        with_api_on_record(&place, settings, told, async |api| {
            let (clock, ids) = time_and_ids();
            let sources = open_bell_store(&dir, &ids).await?;
            let overlap = overlap_secs.map(Duration::from_secs);
            let rotation = rotate(&api, &sources, &ids, clock.now(), &WebhookId::new(&id), overlap).await?;
            let (secret, until) = (rotation.secret.expose(), rotation.old_until);
            answer.give(json!({ "webhook_id": id, "secret": secret, "old_until": until }), secret)?;
            match until {
                _ if answer.is_json() => {}
                Some(until) => tell(format_args!("the old secret signs beside it until {until}, in `webhook-signature`; `X-MultiMail-Signature` is made with the new one from now on")),
                None => tell("the old secret is forgotten"),
            }
            Ok(())
        })
        .await
    }
}

impl Deliveries {
    async fn run(self) -> Result<(), Failure> {
        let Self { webhook, status, place, settings, answer } = self;
        let webhook = webhook.map(WebhookId::new);
        with_api(&place, settings, async |api| {
            let status = status.map(Status::as_str);
            let page = api.webhook_deliveries(webhook.as_ref(), status, DELIVERIES_MAX, None).await?;
            for delivery in &page.deliveries {
                answer.give(delivery_json(delivery), delivery_line(delivery))?;
            }
            Ok(())
        })
        .await
    }
}

fn delivery_line(delivery: &Delivery) -> String {
    let answer = delivery.response_status.map(|status| status.to_string()).or_else(|| delivery.error.clone());
    let event = delivery.event_id.as_deref().unwrap_or_default();
    let (attempts, answer) = (delivery.attempts, answer.unwrap_or_else(|| "-".to_owned()));
    format!("{}  {}  {event}  {}  {attempts} attempts  {answer}", delivery.id, delivery.status, delivery.url)
}

fn delivery_json(delivery: &Delivery) -> serde_json::Value {
    serde_json::json!({
        "delivery_id": delivery.id,
        "webhook_id": delivery.webhook_id,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "replay_of": delivery.replay_of,
        "url": delivery.url,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "response_status": delivery.response_status,
        "error": delivery.error,
        "created_at": delivery.created_at,
        "last_attempt_at": delivery.last_attempt_at,
        "next_attempt_at": delivery.next_attempt_at,
    })
}
