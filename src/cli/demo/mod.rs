//! `mailbell demo`: the whole path on this machine, with real SMTP, real HTTP and real MCP clients, step by step.
//!
//! It starts a house on free ports in a temporary directory. Each step either shows what it says or fails the demo.

mod agent;
mod stage;
mod steps;

use clap::Args;

use self::stage::Stage;
use super::{FREE_PORTS, Failure, Settings, plan, say, serve::Signals};
use crate::app::{data_dir::DataDir, house::House, tokens};

#[derive(Args)]
pub(super) struct Demo {
    /// Keep running afterwards, and print the line that connects Claude Code
    #[arg(long)]
    stay: bool,
    #[command(flatten)]
    pub(super) settings: Settings,
}

impl Demo {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let home = tempfile::Builder::new().prefix("mailbell-demo-").tempdir()?;
        let dir = DataDir::open(Some(home.path().to_owned()))?;
        let loaded = self.settings.load(&FREE_PORTS)?;
        if loaded.config.mail.base_url.is_some() {
            return Err("the demo shows the embedded mail service; unset mail.base_url for it".into());
        }
        let lock = dir.keep().await?;
        let (house, _) = House::start(plan(dir.clone(), lock, loaded)).await?;

        let mut stage = Stage::new(house, dir);
        let shown = steps::all(&mut stage).await;
        if shown.is_ok() {
            stage.curtain()?;
        }
        let Stage { house, dir, .. } = stage;
        let ended = match (&shown, self.stay) {
            (Ok(()), true) => {
                let signals = Signals::listen()?;
                stay(&house, &dir)?;
                signals.or_fault(&house).await
            }
            _ => Ok(()),
        };
        house.close().await;
        shown.and(ended)
    }
}

fn stay(house: &House, dir: &DataDir) -> Result<(), Failure> {
    let mcp = house.addresses().mcp.clone().unwrap_or_default();
    let token = dir.token(tokens::MCP)?.unwrap_or_default();
    let place = dir.root().display();
    say(format!(
        "\nStill running; Ctrl-C ends it and removes {place}.\n\
         Connect Claude Code:\n  claude mcp add --transport http mailbell {mcp} --header \"Authorization: Bearer {token}\"\n\
         Send it a mail:\n  mailbell try inbound --data-dir {place}\n\
         Watch what fires:\n  mailbell events --follow --data-dir {place}"
    ))
}
