//! Handles an event by running a command under a guard.

use std::{ffi::OsString, process::Stdio, sync::Arc};

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};
use tokio_util::sync::CancellationToken;

use super::guard::Report;
use crate::{
    bell::attending::{CannotBegin, Handled, Handler},
    domain::{
        consumer::{LeaseToken, LeasedEvent},
        id::{ConsumerName, MessageId, ThreadId, is_bare},
    },
    ids::Ids,
    mcp::present::alone,
};

/// This binary, even where it was replaced by a newer one since it was started.
const OURSELVES: &str = "/proc/self/exe";

/// Runs `words` for each event.
pub(super) struct Spawning {
    pub(super) words: Vec<OsString>,
    pub(super) consumer: ConsumerName,
    pub(super) ids: Arc<Ids>,
}

#[async_trait]
impl Handler for Spawning {
    async fn handle(
        &self,
        leased: &LeasedEvent,
        token: &LeaseToken,
        stop: CancellationToken,
    ) -> Result<Handled, CannotBegin> {
        let mut guard = self.guard(leased, token);
        let mut guard =
            guard.spawn().map_err(|error| CannotBegin(format!("could not start a guard for the command: {error}")))?;
        let mut lifeline = guard.stdin.take();
        if let Some(lifeline) = &mut lifeline {
            let event = format!("{}\n", alone(&self.ids, leased, token, &self.consumer));
            // A guard that is gone already is told of below.
            let _ = lifeline.write_all(event.as_bytes()).await;
        }
        let mut reports = BufReader::new(guard.stdout.take().expect("it was asked for")).lines();
        let (mut group, mut handled) = (None, None);
        loop {
            let line = tokio::select! {
                line = reports.next_line() => line,
                () = stop.cancelled(), if lifeline.is_some() => {
                    // The guard reads its end: it stops the command, and reports how that ended.
                    lifeline = None;
                    continue;
                }
            };
            let Ok(Some(line)) = line else { break };
            match serde_json::from_str(&line) {
                Ok(Report::Started(id)) => group = Pid::from_raw(id),
                Ok(Report::NotStarted(why)) => {
                    let program = self.words[0].to_string_lossy();
                    return Err(CannotBegin(format!(
                        "could not start `{program}`: {why}; name a program that can be run"
                    )));
                }
                Ok(Report::Ended { code: Some(0), .. }) => handled = Some(Handled::Done),
                Ok(Report::Ended { code: Some(code), .. }) => {
                    handled = Some(Handled::Failed(format!("the command ended with exit code {code}")));
                }
                Ok(Report::Ended { signal, .. }) => {
                    let signal = signal.unwrap_or_default();
                    handled = Some(Handled::Failed(format!("the command was ended by signal {signal}")));
                }
                Err(_) => break,
            }
        }
        let _ = guard.wait().await;
        Ok(handled.unwrap_or_else(|| {
            // Somebody killed the guard; what it guarded must not go on without.
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            Handled::Failed("the guard of the command was killed".into())
        }))
    }
}

impl Spawning {
    fn guard(&self, leased: &LeasedEvent, token: &LeaseToken) -> Command {
        let fact = &leased.event.fact;
        let (seq, attempt) = (leased.event.seq.to_string(), leased.attempt.to_string());
        let ids = [
            ("MAILBELL_EVENT_ID", Some(fact.event_id.as_str())),
            ("MAILBELL_SEQ", Some(&seq)),
            ("MAILBELL_EVENT_TYPE", Some(fact.detail.kind().as_str())),
            ("MAILBELL_MAILBOX", fact.mailbox.as_deref()),
            ("MAILBELL_MESSAGE_ID", fact.message_id.as_ref().map(MessageId::as_str)),
            ("MAILBELL_THREAD_ID", fact.thread_id.as_ref().map(ThreadId::as_str)),
            ("MAILBELL_ATTEMPT", Some(&attempt)),
            ("MAILBELL_CONSUMER", Some(self.consumer.as_str())),
            ("MAILBELL_LEASE_TOKEN", Some(token.as_str())),
        ];
        let ourselves = if cfg!(target_os = "linux") { Ok(OURSELVES.into()) } else { std::env::current_exe() };
        let mut guard = Command::new(ourselves.unwrap_or_else(|_| "mailbell".into()));
        guard.arg("guard").arg("--").args(&self.words);
        for (name, id) in ids {
            // A source names its events and messages as it likes; what could be more than a name stays in the JSON.
            match id.filter(|id| is_bare(id)) {
                Some(id) => guard.env(name, id),
                None => guard.env_remove(name),
            };
        }
        // A group of its own: a key pressed at the terminal is for `mailbell on`, which then stops the command in order.
        guard.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        guard
    }
}
