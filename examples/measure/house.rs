//! A mailbell as everyone runs it: the real binary, a data directory of its own on the disk, free ports.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use crate::{Failure, How, events::SECRET};

/// How long a server may take to be ready, and to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Where it logs, in its data directory.
const LOG: &str = "serve.log";
/// The source that load is posted to.
pub(crate) const SOURCE: &str = "measured";

/// A running one, with the source [`SOURCE`]; it is killed where it is not ended.
pub(crate) struct House {
    child: Child,
    /// What it said when it was ready.
    pub(crate) ready: HashMap<String, Value>,
    binary: PathBuf,
    dir: TempDir,
}

impl House {
    /// Starts one with more `flags` for `serve`.
    pub(crate) async fn start(how: &How, flags: &[&str]) -> Result<Self, Failure> {
        let binary = binary(how)?;
        let dir = TempDir::with_prefix_in("house-", &how.dir)?;
        let mut command = Command::new(&binary);
        command.arg("serve").arg("--data-dir").arg(dir.path());
        for door in ["mcp", "hooks", "api", "smtp", "lmtp", "console"] {
            command.args([&format!("--{door}-addr"), ":0"]);
        }
        // What it logs goes where a service's log goes: into a file.
        command.args(flags).stderr(std::fs::File::create(dir.path().join(LOG))?);
        let (child, line) = until_it_speaks(&mut command).await?;
        let ready: HashMap<String, Value> = serde_json::from_str(&line)?;
        let house = Self { child, ready, binary, dir };
        let add = ["source", "add", SOURCE, "--dialect", "multimail", "--secret-stdin"];
        house.run(&add, SECRET).await?;
        Ok(house)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Its data directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The binary that runs there.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// The address of a listener, such as `hooks` or `smtp`.
    pub(crate) fn addr(&self, door: &str) -> Result<SocketAddr, Failure> {
        let text = self.ready.get(door).and_then(Value::as_str).ok_or_else(|| format!("it has no listener {door}"))?;
        let host = text.split_once("://").map_or(text, |(_, host)| host);
        let host = host.split('/').next().unwrap_or_default();
        host.parse().map_err(|_| format!("{door} is at {text}, which is no address").into())
    }

    /// What another command says on its data directory, given `input`.
    pub(crate) async fn run(&self, arguments: &[&str], input: &str) -> Result<String, Failure> {
        run(&self.binary, self.dir(), arguments, input).await
    }

    /// The token of that name, such as `api`.
    pub(crate) async fn token(&self, name: &str) -> Result<String, Failure> {
        self.run(&["token", "show", name], "").await
    }

    /// Ends it as an operator does.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        end(self.child).await
    }
}

/// The binary that is measured: the one beside this program, unless `how` names another.
pub(crate) fn binary(how: &How) -> Result<PathBuf, Failure> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("mailbell"));
    let binary = how.mailbell.clone().or_else(beside).filter(|binary| binary.is_file());
    binary.ok_or_else(|| {
        "there is no mailbell beside this program; `cargo build --release` makes it, or name one with --mailbell".into()
    })
}

/// What a command of `binary` says on the data directory `dir`, given `input`.
pub(crate) async fn run(binary: &Path, dir: &Path, arguments: &[&str], input: &str) -> Result<String, Failure> {
    let mut command = Command::new(binary);
    command.args(arguments).arg("--data-dir").arg(dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await?;
    }
    let done = child.wait_with_output().await?;
    if !done.status.success() {
        return Err(format!("mailbell {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr)).into());
    }
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}

/// Starts a server and answers with the first line that it says.
pub(crate) async fn until_it_speaks(command: &mut Command) -> Result<(Child, String), Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| format!("could not start {name}: {error}"))?;
    let stdout = child.stdout.take().ok_or("it has no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    let line =
        tokio::time::timeout(PATIENCE, lines.next_line()).await.map_err(|_| format!("{name} was not ready in time"))?;
    let line = line?.ok_or_else(|| format!("{name} ended before it was ready"))?;
    // What it says later is read and thrown away, so that it never waits for a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((child, line))
}

/// Ends a process by SIGTERM.
pub(crate) async fn end(mut child: Child) -> Result<(), Failure> {
    if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
        kill_process(pid, Signal::TERM)?;
    }
    tokio::time::timeout(PATIENCE, child.wait()).await.map_err(|_| "a server did not end in time")??;
    Ok(())
}
