//! How the house stands, for whoever watches it from outside.

use std::sync::Arc;

use async_trait::async_trait;

use super::data_dir::DataDir;
use crate::{
    bell::oversight::Oversight,
    domain::clock::Clock,
    http::health::Vitals,
    mail::space::{FileSystemOf, FreeSpace as _},
    measures::{ConsumerLook, Look, MailLook},
    store::{
        StoreError,
        bell::BellStore,
        log::EventLog as _,
        mail::{MailStore, tally::MailTally},
        standing::Standings as _,
    },
};

/// What a keeper's watchers ask.
pub(super) struct HouseVitals {
    pub(super) dir: DataDir,
    pub(super) bell: Arc<BellStore>,
    /// The embedded mail service's, where there is one.
    pub(super) mail: Option<Arc<MailStore>>,
    pub(super) oversight: Arc<Oversight>,
    pub(super) clock: Arc<dyn Clock>,
    /// The keeper's term.
    pub(super) epoch: i32,
    /// With less room than this nothing is taken in.
    pub(super) free_bytes_min: u64,
}

#[async_trait]
impl Vitals for HouseVitals {
    async fn ready(&self) -> Result<(), String> {
        if self.bell.epoch().await.map_err(|error| format!("the event log cannot be read: {error}"))? != self.epoch {
            return Err("another process keeps this data directory now".to_owned());
        }
        self.bell.probe().await.map_err(|error| format!("the event log cannot be written: {error}"))?;
        if let Some(mail) = &self.mail {
            mail.probe().await.map_err(|error| format!("mail cannot be stored: {error}"))?;
        }
        match FileSystemOf(self.dir.root().to_owned()).free_bytes() {
            Ok(free) if free < self.free_bytes_min => {
                Err(format!("the disk has {} MiB left, which is too little to take mail in", free >> 20))
            }
            _ => Ok(()),
        }
    }

    async fn look(&self) -> Result<Look, StoreError> {
        let now = self.clock.moment();
        let extent = self.bell.extent().await?;
        let tally = self.bell.tally().await?;
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let consumers = self.bell.standings(now.clone()).await?.into_iter().map(|standing| ConsumerLook {
            name: standing.name.as_str().to_owned(),
            lag: count(standing.lag.values().sum()),
            oldest_seconds: MailTally::seconds_since(standing.oldest_received_at.map(|at| at.0), now.wall),
            leased: count(standing.leased),
            parked: count(standing.parked),
        });
        let consumers = consumers.collect();
        let mail = match &self.mail {
            None => None,
            Some(mail) => {
                let tally = mail.tally().await?;
                Some(MailLook {
                    deliveries_pending: tally.pending,
                    oldest_seconds: MailTally::seconds_since(tally.pending_since, now.wall),
                    deliveries_dead: tally.dead,
                    lines_failing: tally.failing,
                    queued: tally.queued,
                    overdue_seconds: MailTally::seconds_since(tally.due_at, now.wall),
                    suppressions: tally.suppressions,
                })
            }
        };
        Ok(Look {
            term: self.epoch.into(),
            paused: self.oversight.rules().await?.paused,
            disk_free_bytes: FileSystemOf(self.dir.root().to_owned()).free_bytes().ok().map(count),
            log_head: extent.head.0,
            log_tail: extent.tail.0,
            quarantine: tally.quarantine,
            actions_pending: tally.actions_pending,
            consumers,
            mail,
        })
    }
}
