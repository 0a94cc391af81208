//! Where the demo plays: the house, a clock for the audience, and the means to send mail and to post like a stranger.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use ::http::HeaderMap;
use serde_json::{Value, json};

use crate::{
    app::{data_dir::DataDir, house::House, system::SystemClock},
    bell::waiting::{ListRequest, Position},
    cli::{Failure, answer::say_marked, say, terminal::good, try_kind::deliver},
    domain::{
        address::Address,
        event::{Event, EventFilter},
        secret::Secret,
    },
    mail::{
        compose::{Automatic, Draft, compose},
        webhooks::egress::{Egress, Posted},
    },
    reach::Reach,
    signing::multimail,
    store::log::Order,
    wake::Topic,
};

/// Who the demo's agent is.
pub(super) const AGENT: &str = "agent@mailbell.test";
/// How long the audience waits for an event to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Who writes to it.
const CUSTOMER: &str = "zoe@customer.test";

/// The stage.
pub(super) struct Stage {
    pub(super) house: House,
    pub(super) dir: DataDir,
    began: Instant,
    steps: u32,
}

impl Stage {
    pub(super) fn new(house: House, dir: DataDir) -> Self {
        Self { house, dir, began: Instant::now(), steps: 0 }
    }

    /// Tells the audience what a step showed.
    pub(super) fn shown(&mut self, what: impl std::fmt::Display, since: Instant) -> Result<(), Failure> {
        self.steps += 1;
        let took = since.elapsed().as_secs_f64() * 1000.0;
        say_marked("", good(), format_args!("{:>2}.", self.steps), format_args!(" {what}  [{took:.1} ms]"))
    }

    /// The end.
    pub(super) fn curtain(&self) -> Result<(), Failure> {
        say(format!("\nAll {} steps held, in {:.1} s.", self.steps, self.began.elapsed().as_secs_f64()))
    }

    /// Sends a mail to the agent by SMTP; answers with what the listener said once it was stored.
    pub(super) async fn mail(&self, subject: &str, text: &str) -> Result<String, Failure> {
        let smtp: SocketAddr = self.house.addresses().smtp.as_deref().ok_or("the house takes no mail")?.parse()?;
        let bell = self.house.bell();
        let (from, to): (Address, Address) = (CUSTOMER.parse()?, AGENT.parse()?);
        let message = compose(&Draft {
            from: &from,
            from_name: Some("Zoë Customer"),
            to: std::slice::from_ref(&to),
            cc: &[],
            html: None,
            auto: Automatic::No,
            ai_disclosure: false,
            subject,
            text,
            date: bell.clock.now(),
            internet_id: &format!("{}@{}", bell.ids.next("demo-"), from.domain()),
            in_reply_to: None,
            references: &[],
            files: &[],
        });
        deliver(smtp, &from, &to, &message).await
    }

    /// Every event of the log, the oldest first.
    async fn events(&self) -> Result<Vec<Event>, Failure> {
        let request = ListRequest {
            filter: EventFilter::default(),
            after: Position::Earliest,
            before: None,
            order: Order::Ascending,
            limit: 500,
        };
        Ok(self.house.bell().waiting().list(request).await?.events)
    }

    /// How often the log holds the event of that id.
    pub(super) async fn in_the_log(&self, event_id: &str) -> Result<usize, Failure> {
        Ok(self.events().await?.iter().filter(|event| event.fact.event_id.as_str() == event_id).count())
    }

    /// Waits until the log holds `count` events: the webhook that follows a mail is posted within milliseconds.
    pub(super) async fn until_in_the_log(&self, count: usize) -> Result<(), Failure> {
        let mut ear = self.house.bell().bell.listen([Topic::All]);
        let waited = async {
            while self.events().await?.len() < count {
                ear.rung().await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, waited).await?
    }

    /// Posts an event to the receiver as a mail service would, signed with `secret`; answers with the status.
    pub(super) async fn post(&self, body: &Value, secret: &Secret) -> Result<u16, Failure> {
        let body = serde_json::to_vec(body)?;
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json".parse()?);
        headers.insert(multimail::HEADER, multimail::sign(secret, &body).parse()?);
        let hooks = self.house.addresses().hooks.clone().ok_or("the house has no receiver")?;
        let url = format!("{hooks}/hooks/multimail").parse()?;
        let egress = Egress::new(std::sync::Arc::new(SystemClock::new()));
        match egress.post(&url, Reach::Loopback, headers, body).await {
            Posted::Responded { status, .. } => Ok(status),
            Posted::Failed(fault) => Err(format!("the receiver could not be posted to: {}", fault.as_str()).into()),
        }
    }

    /// A bounce as a mail service tells it.
    pub(super) fn bounce(&self, event_id: &str) -> Value {
        json!({
            "event_type": "bounce", "event_id": event_id, "mailbox": AGENT, "message_id": "em_demo", "thread_id": "thr_demo",
            "timestamp": self.house.bell().clock.now(), "recipient": "bob@nowhere.test", "bounce_code": "5.1.1",
            "diagnostic": "550 5.1.1 no such user",
        })
    }
}
