//! The guard of one command: starts it in a process group of its own, and sees to it that the group ends when the command
//! has, or when `mailbell on` is gone, however that ended.
//!
//! `mailbell on` holds the other end of the guard's stdin. The first line that comes is for the command; then the pipe stays
//! open, and its end means: stop. On stdout the guard reports ([`Report`]), a line each; all that the command writes goes to
//! stderr.

use std::{ffi::OsString, io, os::unix::process::ExitStatusExt as _, process::Stdio, time::Duration};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use super::super::{Failure, say, serve::Signals};

/// How long a command has to end after SIGTERM, before it gets SIGKILL.
const GRACE: Duration = Duration::from_secs(3);

#[derive(Args)]
pub(in super::super) struct Guard {
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// What a guard tells.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The command could not be started; there is no such program, as a rule.
    NotStarted(String),
    /// It runs, in the process group of this number.
    Started(i32),
    /// It ended by itself with this code, or by this signal.
    Ended {
        /// Its exit code.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
}

impl Guard {
    pub(in super::super) async fn run(self) -> Result<(), Failure> {
        let signals = Signals::listen()?;
        let mut lifeline = BufReader::new(tokio::io::stdin());
        let mut event = Vec::new();
        lifeline.read_until(b'\n', &mut event).await?;

        let (program, arguments) = self.command.split_first().ok_or("there is no command to run")?;
        let spawned = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::from(io::stderr()))
            .process_group(0)
            .spawn();
        let mut command = match spawned {
            Ok(command) => command,
            Err(error) => return tell(&Report::NotStarted(error.to_string())),
        };
        let group = command.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let group = group.ok_or("the command has no process id")?;
        tell(&Report::Started(group.as_raw_nonzero().get()))?;
        if let Some(mut stdin) = command.stdin.take() {
            // A command that does not read its event is free not to.
            tokio::spawn(async move { stdin.write_all(&event).await });
        }
        let mut rest = [0];
        let ended = tokio::select! {
            ended = command.wait() => ended?,
            _ = lifeline.read(&mut rest) => stop(&mut command, group).await?,
            () = signals.received() => stop(&mut command, group).await?,
        };
        // What the command left behind would go on while the event is with another, or done.
        let _ = kill_process_group(group, Signal::KILL);
        tell(&Report::Ended { code: ended.code(), signal: ended.signal() })
    }
}

async fn stop(command: &mut Child, group: Pid) -> io::Result<std::process::ExitStatus> {
    let _ = kill_process_group(group, Signal::TERM);
    if let Ok(ended) = tokio::time::timeout(GRACE, command.wait()).await {
        return ended;
    }
    let _ = kill_process_group(group, Signal::KILL);
    command.wait().await
}

fn tell(report: &Report) -> Result<(), Failure> {
    say(serde_json::to_string(report)?)
}
