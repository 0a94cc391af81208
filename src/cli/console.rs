//! `mailbell console`: a code that opens the operator's pages.

use clap::Args;
use serde_json::json;

use super::{Failure, answer::Answer, operator::Word};
use crate::bell::entrance::{CODE_HOLDS, Entrance};

/// `mailbell console`
#[derive(Args)]
pub(super) struct Console {
    #[command(flatten)]
    word: Word,
    #[command(flatten)]
    answer: Answer,
}

impl Console {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { word, answer } = self;
        let published = word.place.open()?.published()?;
        let Some(console) = published.and_then(|published| published.addresses.console) else {
            return Err("nobody keeps this data directory now, so there is no console; start `mailbell serve`".into());
        };
        let (side, token) = word.prove().await?;
        let entrance = Entrance::new(side.store.clone(), side.store, side.clock, side.ids);
        let code = entrance.code(&token).await?.ok_or("the operator token was replaced at this moment; try again")?;
        let (url, secs) = (format!("{console}/login"), CODE_HOLDS.as_secs());
        answer.give(
            json!({ "url": url, "code": code.expose(), "holds_secs": secs }),
            format_args!("{url}\n{}  (opens it once, within {secs} seconds)", code.expose()),
        )
    }
}
