//! `mailbell mailbox`: the mailboxes of the mail service, through its API, so that a running house sees a change at once.

use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};

use super::{Failure, Settings, Where, say};
use crate::{
    app::house::{House, Plan},
    bell::upstream::Upstream,
    domain::address::Address,
};

#[derive(Subcommand)]
pub(super) enum Mailbox {
    /// Add a mailbox of one of the service's domains
    Add(Add),
    /// Show the mailboxes
    List(List),
    /// Have a mailbox's messages carry tracking images, or no longer
    TrackOpens(TrackOpens),
    /// Remove a mailbox and the messages in it; their raw files stay under blobs/
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
}

#[derive(Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
    /// Print JSON, one mailbox a line
    #[arg(long)]
    json: bool,
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
}

impl Mailbox {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Add(add) => {
                with_api(&add.place, add.settings, async |api| {
                    let id = api.add_mailbox(&add.address, add.display_name.as_deref()).await?;
                    say(format!("{}  {id}", add.address))
                })
                .await
            }
            Self::List(list) => {
                with_api(&list.place, list.settings, async |api| {
                    for mailbox in api.mailboxes().await? {
                        if list.json {
                            say(serde_json::json!({ "id": mailbox.id, "address": mailbox.address }))?;
                        } else {
                            say(format!("{}  {}", mailbox.address, mailbox.id))?;
                        }
                    }
                    Ok(())
                })
                .await
            }
            Self::TrackOpens(track) => {
                with_api(&track.place, track.settings, async |api| {
                    let on = track.switch == Switch::On;
                    api.track_opens(track.address.as_str(), on).await?;
                    let word = if on { "carry" } else { "no longer carry" };
                    say(format!("messages from {} {word} tracking images", track.address))
                })
                .await
            }
            Self::Remove(remove) => {
                with_api(&remove.place, remove.settings, async |api| {
                    api.remove_mailbox(remove.address.as_str()).await?;
                    say(format!("removed {} and the messages in it; their raw files stay under blobs/", remove.address))
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
    let dir = place.open()?;
    if let Some(lock) = dir.keep_or_join().await? {
        let loaded = settings.load(&super::FREE_PORTS)?;
        let plan = Plan { publish: false, ..super::plan(dir, lock, loaded) };
        let house = House::start(plan).await?.0;
        let done = act(house.upstream()).await;
        house.close().await;
        done
    } else {
        let loaded = settings.load(&[])?;
        act(crate::app::resident::upstream(&dir, &loaded).await?).await
    }
}
