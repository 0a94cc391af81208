//! Mail out through a local relay: our outbox to Postfix's `smtp-sink`, beside `smtp-source` straight to it.

use std::{
    fs,
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mailbell::store::log::EventLog as _;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

use crate::{
    Failure, How,
    house::{self, House, PATIENCE},
    letters::MAILBOX,
    load::count,
    logs,
    rounds::{Samples, in_turn},
    table::{Table, short},
    usage,
};

/// Requests to send on their way at once, and what `smtp-source` has at once.
const AT_ONCE: usize = 16;
/// How often it is looked how many were taken.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a turn may take.
const TURN_MAX: Duration = Duration::from_mins(2);

/// Sending through a relay on this machine.
#[derive(Args)]
pub(crate) struct Sending {
    /// Messages of a turn
    #[arg(long, default_value_t = 1_000)]
    messages: u64,
}

#[derive(Debug, Clone, Copy)]
enum Rival {
    Source,
    Ours,
}

impl Sending {
    pub(crate) async fn run(self, how: &How) -> Result<(), Failure> {
        let (sink, relay) = sink().await?;
        let mut rivals = [Rival::Source, Rival::Ours];
        let found = in_turn(how.rounds, &mut rivals, async |rival, _| match rival {
            Rival::Source => self.source(relay).await,
            Rival::Ours => self.ours(how, relay).await,
        })
        .await?;
        let columns = ["sender", "messages/s", "CPU µs each", "beside smtp-source"];
        let mut table = Table::new("Sending 2 KB messages through a relay on this machine", &columns);
        let of = |rival: usize, place: fn(&(f64, f64)) -> f64| found[rival].iter().map(place).collect::<Samples>();
        for (at, name) in ["smtp-source, nothing stored", "mailbell: asked by API, on disk, sent, told as an event"]
            .into_iter()
            .enumerate()
        {
            let (per_sec, micros) = (of(at, |turn| turn.0), of(at, |turn| turn.1));
            let ratio = per_sec.over(&of(0, |turn| turn.0));
            let micros = if at == 0 { String::new() } else { micros.show(short) };
            table.row([name.to_owned(), per_sec.show(short), micros, ratio.show(short)]);
        }
        table.note("no aim: smtp-source stores nothing, and is told nothing");
        house::end(sink).await?;
        table.print(how)
    }

    async fn source(&self, relay: SocketAddr) -> Result<(f64, f64), Failure> {
        let began = Instant::now();
        let mut command = Command::new("smtp-source");
        command.args(["-s", &AT_ONCE.to_string(), "-m", &self.messages.to_string(), "-l", "2048", "-d"]);
        command.args(["-f", "bob@example.com", "-t", "ann@elsewhere.test", &format!("inet:{relay}")]);
        if !command.status().await?.success() {
            return Err("smtp-source failed".into());
        }
        Ok((count(self.messages) / began.elapsed().as_secs_f64(), 0.0))
    }

    /// From the first request to the event that tells of the last message.
    async fn ours(&self, how: &How, relay: SocketAddr) -> Result<(f64, f64), Failure> {
        let settings = how.dir.join("sending.toml");
        let (host, port) = (relay.ip(), relay.port());
        fs::write(&settings, format!("[mail.relay]\nhost = \"{host}\"\nport = {port}\ntls = \"none\"\n"))?;
        let house = House::start(how, &["--config", settings.to_str().ok_or("the directory is no text")?]).await?;
        let (api, key) = (house.addr("api")?, house.token("api").await?);
        let log = logs::open(&house.dir().join("bell.db")).await?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let before = log.extent().await?.head.0;
        let text = "A line of a letter, as long as lines are.\n".repeat(45);

        let (cpu, began) = (usage::of(house.pid()).cpu, Instant::now());
        stream::iter((0..self.messages).map(|n| {
            let letter =
                json!({ "to": [format!("r{n}@elsewhere.test")], "subject": format!("Letter {n}"), "markdown": text });
            let asked =
                client.post(format!("http://{api}/v1/mailboxes/{MAILBOX}/send")).bearer_auth(&key).json(&letter);
            async move {
                let answer = asked.send().await?;
                let status = answer.status();
                if status.is_success() { Ok(()) } else { Err::<_, Failure>(answer.text().await?.into()) }
            }
        }))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
        let all = i64::try_from(self.messages)?;
        while log.extent().await?.head.0 - before < all {
            if began.elapsed() > TURN_MAX {
                return Err(
                    format!("{} of {all} messages after {TURN_MAX:?}", log.extent().await?.head.0 - before).into()
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let (took, cpu) = (began.elapsed(), usage::of(house.pid()).cpu.saturating_sub(cpu));
        house.end().await?;
        let messages = count(self.messages);
        Ok((messages / took.as_secs_f64(), cpu.as_secs_f64() * 1e6 / messages))
    }
}

/// Starts `smtp-sink` on a free port.
async fn sink() -> Result<(Child, SocketAddr), Failure> {
    let at = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let mut command = Command::new("smtp-sink");
    // It refuses to be root; nobody is anybody's.
    if rustix::process::geteuid().is_root() {
        command.args(["-u", "nobody"]);
    }
    // Of a relay that offers to report (RFC 3461), we await reports instead of taking its word for the last.
    command.args(["-N", &format!("inet:{at}"), "256"]).stdin(Stdio::null()).kill_on_drop(true);
    let child = command.spawn().map_err(|error| format!("smtp-sink, of Debian's postfix package: {error}"))?;
    let began = Instant::now();
    while TcpStream::connect(at).await.is_err() {
        if began.elapsed() > PATIENCE {
            return Err("smtp-sink was not ready in time".into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok((child, at))
}
