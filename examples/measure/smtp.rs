//! Mail accepted over SMTP, by Postfix's own load generator: `250` only once the message is on disk, parsed, in its thread, and
//! its event owed. Beside it a private Postfix that accepts into its queue and discards.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use clap::Args;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    Failure, How,
    house::House,
    rounds::{self, Samples},
    table::{Aim, Table, short},
    usage,
};

/// Mail over SMTP.
#[derive(Args)]
pub(crate) struct Smtp {
    /// How many messages are sent in each turn
    #[arg(long, default_value_t = 4_000)]
    messages: usize,
    /// How many sessions send at once
    #[arg(long, default_value_t = 20)]
    sessions: usize,
    /// The size of a message, in bytes
    #[arg(long, default_value_t = 4_096)]
    bytes: usize,
    /// A script that starts and stops a private Postfix: `SCRIPT start DIR PORT`, `SCRIPT stop DIR`; without it ours runs alone
    #[arg(long, env = "MAILBELL_POSTFIX", value_name = "SCRIPT")]
    postfix: Option<PathBuf>,
    /// Where the private Postfix listens
    #[arg(long, default_value_t = 2_526)]
    postfix_port: u16,
}

/// A server, with what a message to it costs it in microseconds where that is known.
enum Server {
    Ours(Box<House>),
    /// With how long its receiver pauses where its queue falls behind: a second, or not at all.
    Postfix {
        script: PathBuf,
        dir: TempDir,
        addr: SocketAddr,
        in_flow_delay: &'static str,
    },
}

impl Server {
    fn says(&self) -> &'static str {
        match self {
            Self::Ours(_) => "`mailbell serve`",
            Self::Postfix { in_flow_delay: "0", .. } => "Postfix, in_flow_delay = 0",
            Self::Postfix { .. } => "Postfix",
        }
    }

    fn place(&self) -> Result<(SocketAddr, &'static str), Failure> {
        match self {
            Self::Ours(house) => Ok((house.addr("smtp")?, "agent@mailbell.test")),
            Self::Postfix { addr, .. } => Ok((*addr, "bob@dest.test")),
        }
    }

    /// The two Postfixes have one address, so each is up only while it has its turn.
    async fn begin(&self) -> Result<(), Failure> {
        let Self::Postfix { script, dir, addr, in_flow_delay } = self else { return Ok(()) };
        run(Command::new(script).arg("start").arg(dir.path()).arg(addr.port().to_string())).await?;
        let etc = dir.path().join("etc");
        let delay = format!("in_flow_delay={in_flow_delay}");
        let settings = ["virtual_transport=discard", "smtpd_client_connection_rate_limit=0", &delay];
        run(Command::new("postconf").arg("-c").arg(&etc).arg("-e").args(settings)).await?;
        run(Command::new("postfix").arg("-c").arg(&etc).arg("reload")).await
    }

    async fn end(&self) -> Result<(), Failure> {
        let Self::Postfix { script, dir, .. } = self else { return Ok(()) };
        run(Command::new(script).arg("stop").arg(dir.path())).await
    }

    /// Waits until ours has delivered what it took in: its rivals are not to share the machine with that, and what it costs
    /// counts among a mail's.
    async fn rest(&self) {
        const LOOK_EVERY: Duration = Duration::from_millis(250);
        const IDLE_MICROS_MAX: f64 = 5_000.0;
        const LOOKS_MAX: usize = 240;
        for _ in 0..LOOKS_MAX {
            let before = self.cpu_micros();
            tokio::time::sleep(LOOK_EVERY).await;
            let used = self.cpu_micros() - before;
            if used.is_nan() || used < IDLE_MICROS_MAX {
                break;
            }
        }
    }

    fn cpu_micros(&self) -> f64 {
        match self {
            Self::Ours(house) => usage::of(house.pid()).cpu.as_secs_f64() * 1e6,
            Self::Postfix { .. } => f64::NAN,
        }
    }
}

async fn run(command: &mut Command) -> Result<(), Failure> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().await.map_err(|error| format!("could not run {name}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("{name}: {}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)).into())
}

impl Smtp {
    pub(crate) async fn run(&self, how: &How) -> Result<(), Failure> {
        let mut servers = vec![Server::Ours(Box::new(House::start(how, &[]).await?))];
        if let Some(script) = &self.postfix {
            for in_flow_delay in ["1s", "0"] {
                let dir = postfix_dir(&how.dir)?;
                let addr = SocketAddr::from(([127, 0, 0, 1], self.postfix_port));
                servers.push(Server::Postfix { script: script.clone(), dir, addr, in_flow_delay });
            }
        }
        let columns = ["server", "connections", "mails/s", "ours is", "CPU us/mail"];
        let mut table = Table::new(&format!("SMTP, {} sessions, {} bytes", self.sessions, self.bytes), &columns);
        for kept in [false, true] {
            let turns = rounds::in_turn(how.rounds, &mut servers, async |server, _| {
                server.begin().await?;
                let found = self.turn(server, kept).await;
                server.end().await?;
                found
            });
            let found: Vec<(Samples, Samples)> =
                turns.await?.into_iter().map(|turns| turns.into_iter().unzip()).collect();
            let connections = if kept { "kept" } else { "new" };
            for (server, (per_sec, cpu)) in servers.iter().zip(&found) {
                let ratio = found[0].0.over(per_sec);
                table.row([
                    server.says().to_owned(),
                    connections.to_owned(),
                    per_sec.show(short),
                    ratio.show(short),
                    if cpu.median().is_nan() { String::new() } else { short(cpu.median()) },
                ]);
                if matches!(server, Server::Postfix { in_flow_delay: "1s", .. }) {
                    table.aim(
                        format!("mails/s beside Postfix, {connections} connections"),
                        ratio.median(),
                        Aim::Least(4.0),
                    );
                }
            }
        }
        if self.postfix.is_none() {
            table.note("Without MAILBELL_POSTFIX there is no Postfix beside it.");
        }
        for server in servers {
            if let Server::Ours(house) = server {
                house.end().await?;
            }
        }
        table.print(how)
    }

    /// Mails a second, and microseconds of the server's CPU for each, with the delivery of its event.
    async fn turn(&self, server: &Server, kept: bool) -> Result<(f64, f64), Failure> {
        let (to, recipient) = server.place()?;
        let mut command = Command::new("smtp-source");
        command.arg("-s").arg(self.sessions.to_string()).arg("-m").arg(self.messages.to_string());
        command.arg("-l").arg(self.bytes.to_string()).args(["-f", "bob@example.com", "-t", recipient]);
        if kept {
            command.arg("-d");
        }
        let (began, cpu) = (Instant::now(), server.cpu_micros());
        run(command.arg(format!("inet:{to}"))).await?;
        #[expect(clippy::cast_precision_loss, reason = "a count of messages")]
        let messages = self.messages as f64;
        let per_sec = messages / began.elapsed().as_secs_f64();
        server.rest().await;
        Ok((per_sec, (server.cpu_micros() - cpu) / messages))
    }
}

/// A directory that Postfix's own users may enter, on an absolute path.
fn postfix_dir(base: &Path) -> Result<TempDir, Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = TempDir::with_prefix_in("postfix-", std::path::absolute(base)?)?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}
