//! `mailbell source list` and `show`: which sources there are, how each is set up, and what it sent.

use serde_json::{Value, json};

use super::{
    super::{Failure, answer::say_json, say, terminal::plain, time_and_ids},
    List, Named, imap, unknown, url,
};
use crate::{
    app::bell_side::open_bell_store,
    bell::{
        imap::{DIALECT as IMAP, told_by},
        webhooks::SOURCE,
    },
    domain::{clock::UnixMillis, id::SourceName},
    store::{
        hosted::{HostedApi, HostedApis as _},
        received::FolderState,
        sources::{History, Records as _, Source, Sources as _},
    },
};

impl List {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let dir = self.place.open()?;
        let base = dir.published()?.and_then(|published| published.addresses.hooks);
        let store = open_bell_store(&dir, &time_and_ids().1).await?;
        let hosted = store.hosted_in_use().await?;
        for source in store.sources().await? {
            let upstream = hosted.as_ref().filter(|_| source.name.as_str() == SOURCE);
            let (name, secrets) = (source.name.as_str(), source.secrets.len());
            let mut told = json!({
                "name": name, "dialect": source.dialect, "secrets": secrets, "created_at": source.created_at,
            });
            let mut lines = Vec::new();
            if source.dialect == IMAP {
                let states = imap::states(&store, &source).await?;
                told["folders"] = states.iter().map(imap::json).collect();
                lines.push(format!("{name}  {}  since {}", source.dialect, source.created_at));
                lines.extend(states.iter().map(|state| format!("  {}", plain(&imap::sentence(state)))));
            } else {
                told["upstream"] = json!(upstream.map(|known| json!({
                    "api": known.api, "webhook_id": known.webhook, "looked_at": known.looked_at,
                    "tried_at": known.tried_at, "trouble": known.trouble,
                })));
                let url = url(base.as_deref(), name);
                lines.push(format!(
                    "{name}  {}  {url}  {secrets} secret(s)  since {}",
                    source.dialect, source.created_at
                ));
                if let Some(HostedApi { api, tried_at: Some(at), trouble, .. }) = upstream {
                    lines.push(format!("  {api} at {at}: {}", plain(trouble.as_deref().unwrap_or("all is well"))));
                }
            }
            self.answer.give(told, lines.join("\n"))?;
        }
        Ok(())
    }
}

impl Named {
    pub(super) async fn show(self) -> Result<(), Failure> {
        let dir = self.place.open()?;
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&dir, &ids).await?;
        let name = SourceName::new(&self.name);
        let source = store.source(&name).await?.ok_or_else(|| unknown(&self.name))?;
        let base = dir.published()?.and_then(|published| published.addresses.hooks);
        let is_imap = source.dialect == IMAP;
        let states = if is_imap { imap::states(&store, &source).await? } else { Vec::new() };
        let history = store.history(&if is_imap { told_by(&name) } else { name }).await?;
        let url = url(base.as_deref(), &self.name);
        if self.answer.is_json() {
            return say_json(told(&source, &url, &states, &history, clock.now()));
        }
        if is_imap {
            say(imap::shown(&source)?)?;
        } else {
            say(format!("{url}  {}", source.dialect))?;
            let key = if source.api_key.is_some() { "  with an API key" } else { "" };
            say(format!("  settings: {}  secrets: {}{key}", plain(&source.settings), source.live(clock.now()).len()))?;
        }
        for state in &states {
            say(format!("  {}", plain(&imap::sentence(state))))?;
        }
        for (_, until) in source.retiring.iter().filter(|(_, until)| clock.now() < *until) {
            say(format!("  one of them vouches until {until}"))?;
        }
        if history.told.is_empty() {
            say("  nothing of it was ever taken")?;
        }
        for (kind, its_name, times, at) in &history.told {
            say(format!("  {kind} ({}): {times}, the last at {at}", plain(its_name.as_deref().unwrap_or("-"))))?;
        }
        for (reason, times, at) in &history.refused {
            say(format!("  refused {times}, the last at {at}: {}", plain(reason)))?;
        }
        Ok(())
    }
}

/// One source for programs.
fn told(source: &Source, url: &str, states: &[FolderState], history: &History, now: UnixMillis) -> Value {
    let told = history.told.iter().map(|(kind, its_name, times, at)| {
        json!({ "event_type": kind, "provider_kind": its_name, "times": times, "last_at": at })
    });
    let refused =
        history.refused.iter().map(|(reason, times, at)| json!({ "reason": reason, "times": times, "last_at": at }));
    let mut shown = json!({
        "name": source.name, "dialect": source.dialect, "created_at": source.created_at, "secrets": source.live(now).len(),
        "retiring_until": source.retiring.iter().map(|(_, until)| until).filter(|until| now < **until).collect::<Vec<_>>(),
        "api_key": source.api_key.is_some(), "told": told.collect::<Vec<_>>(), "refused": refused.collect::<Vec<_>>(),
    });
    if source.dialect == IMAP {
        shown["folders"] = states.iter().map(imap::json).collect();
    } else {
        shown["url"] = url.into();
    }
    shown
}
