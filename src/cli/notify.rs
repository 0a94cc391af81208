//! `mailbell notify`: tells the operator something now, to see that it arrives.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Failure, Settings, Where, answer::Answer, terminal::plain, time_and_ids};
use crate::{
    app::{
        bell_side::open_bell_store,
        local_socket::{Pulse, pulse},
    },
    bell::notices::ON_ITS_WAY,
    domain::notice::{Notice, NoticeKind},
    store::notices::{Fact, Notices as _},
};

/// How long a try takes at most, with what comes before it.
const TOLD_WITHIN: Duration = Duration::from_secs(25);
/// How often to look meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Subcommand)]
pub(super) enum Notify {
    /// Send a notice to every place in operator.notify now, and show what came of it
    Test(Test),
}

#[derive(Args)]
pub(super) struct Test {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    answer: Answer,
}

impl Notify {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self::Test(Test { place, settings, answer }) = self;
        let targets = settings.load(&[])?.config.operator.notify;
        if targets.is_empty() {
            return Err("operator.notify names nobody; set it in config.toml, or as MAILBELL_OPERATOR__NOTIFY".into());
        }
        let dir = place.open()?;
        if pulse(&dir).await == Pulse::Absent {
            return Err(
                "nobody keeps this data directory now; start `mailbell serve`, which sends what is to be told".into()
            );
        }
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&dir, &ids).await?;
        let fact = ids.next("test:");
        let now = clock.now();
        let notice = Notice::new(NoticeKind::Test, now, "somebody ran `mailbell notify test`".to_owned());
        let fact_of = |target: String| Fact { target, fact: fact.clone(), notice: notice.clone() };
        let facts = targets.iter().map(|target| fact_of(target.to_string())).collect();
        store.note(store.epoch().await?, facts, Vec::new(), now).await?;
        let asked = Instant::now();
        let mut failed = 0;
        for target in targets {
            let (mut state, mut why) = ("waiting".to_owned(), None);
            while state == "waiting"
                && why.as_deref().is_none_or(|why| why == ON_ITS_WAY)
                && asked.elapsed() < TOLD_WITHIN
            {
                tokio::time::sleep(LOOK_EVERY).await;
                if let Some(letter) = store.letter_of(&target.to_string(), &fact).await? {
                    (state, why) = letter;
                }
            }
            failed += usize::from(state != "told");
            let because = why.as_deref().map(|why| format!(": {}", plain(why))).unwrap_or_default();
            let line = format!("{state}  {}{because}", target.shown());
            answer.give(json!({ "target": target.shown(), "state": state, "why": why }), line)?;
        }
        if failed > 0 {
            Err("not every place was told yet; `mailbell doctor` shows how it goes on".into())
        } else {
            Ok(())
        }
    }
}
