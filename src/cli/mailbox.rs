//! `mailbell mailbox`: the mailboxes of the mail service, through its API, so that a running house sees a change at once.

use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{Failure, Settings, Where, answer::Answer, time_and_ids};
use crate::{
    app::{
        bell_side::open_bell_store,
        house::{House, Plan},
    },
    bell::upstream::Upstream,
    domain::address::Address,
    store::{
        audit::{AuditLog as _, Entry},
        bell::BellStore,
    },
};

#[derive(Subcommand)]
pub(super) enum Mailbox {
    /// Add a mailbox of one of the service's domains
    Add(Add),
    /// Show the mailboxes
    List(List),
    /// Have a mailbox's messages carry tracking images, or no longer
    TrackOpens(TrackOpens),
    /// Remove a mailbox and the messages in it; the files of large ones under blobs/ follow within a day or so
    Remove(Remove),
}

#[derive(Args)]
pub(super) struct Add {
    /// Its address
    address: Address,
    /// The name shown beside the address
    #[arg(long)]
    display_name: Option<String>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    answer: Answer,
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
pub(super) struct TrackOpens {
    /// Its address
    address: Address,
    /// What a message does that does not say otherwise
    switch: Switch,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Args)]
pub(super) struct Remove {
    /// Its address
    address: Address,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    answer: Answer,
}

impl Mailbox {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Add(add) => {
                let about = json!({ "address": add.address.to_string() });
                with_api_on_record(&add.place, add.settings, Some(("mailbox add", about)), async |api| {
                    let id = api.add_mailbox(&add.address, add.display_name.as_deref()).await?;
                    let told = json!({ "id": id, "address": add.address.to_string() });
                    add.answer.give(told, format_args!("{}  {id}", add.address))
                })
                .await
            }
            Self::List(list) => {
                with_api(&list.place, list.settings, async |api| {
                    for mailbox in api.mailboxes().await? {
                        let told = json!({ "id": mailbox.id, "address": mailbox.address });
                        list.answer.give(told, format_args!("{}  {}", mailbox.address, mailbox.id))?;
                    }
                    Ok(())
                })
                .await
            }
            Self::TrackOpens(track) => {
                let about = json!({ "address": track.address.to_string(), "on": track.switch == Switch::On });
                with_api_on_record(&track.place, track.settings, Some(("mailbox track-opens", about)), async |api| {
                    let on = track.switch == Switch::On;
                    api.track_opens(track.address.as_str(), on).await?;
                    let word = if on { "carry" } else { "no longer carry" };
                    let told = json!({ "address": track.address.to_string(), "track_opens": on });
                    track.answer.give(told, format_args!("messages from {} {word} tracking images", track.address))
                })
                .await
            }
            Self::Remove(remove) => {
                let about = json!({ "address": remove.address.to_string() });
                with_api_on_record(&remove.place, remove.settings, Some(("mailbox remove", about)), async |api| {
                    api.remove_mailbox(remove.address.as_str()).await?;
                    let said =
                        format!("removed {} and the messages in it; their raw files go after a day", remove.address);
                    remove.answer.give(json!({ "address": remove.address.to_string(), "removed": true }), said)
                })
                .await
            }
        }
    }
}

/// Runs `act` against the API: that of the running house, or of one that is started on free ports for this alone.
pub(super) async fn with_api(
    place: &Where,
    settings: Settings,
    act: impl AsyncFnOnce(Arc<Upstream>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    with_api_on_record(place, settings, None, act).await
}

/// The same for what changes something: the audit record first tells of the command, and what it is about.
pub(super) async fn with_api_on_record(
    place: &Where,
    settings: Settings,
    told: Option<(&'static str, serde_json::Value)>,
    act: impl AsyncFnOnce(Arc<Upstream>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let dir = place.open()?;
    if let Some(lock) = dir.keep_or_join().await? {
        let loaded = settings.load(&super::FREE_PORTS)?;
        let plan = Plan { publish: false, ..super::plan(dir, lock, loaded) };
        let house = House::start(plan).await?.0;
        let done = match tell(&house.bell().store, told).await {
            Ok(()) => act(house.upstream()).await,
            Err(failure) => Err(failure),
        };
        house.close().await;
        done
    } else {
        let loaded = settings.load(&[])?;
        if told.is_some() {
            tell(&open_bell_store(&dir, &time_and_ids().1).await?, told).await?;
        }
        act(crate::app::resident::upstream(&dir, &loaded).await?).await
    }
}

async fn tell(store: &BellStore, told: Option<(&'static str, serde_json::Value)>) -> Result<(), Failure> {
    if let Some((command, about)) = told {
        let now = time_and_ids().0.now();
        store.record(Entry::Operator { command, about }, now).await?;
    }
    Ok(())
}
