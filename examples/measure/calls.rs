//! Calls of tools by many agents at once over HTTP, beside plain axum that answers the same JSON, and beside rmcp with a handler
//! that does nothing else: what no server that is built on it can be faster than.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Json, Router, body::Bytes, http::header::CONTENT_TYPE, routing::post, serve::ListenerExt as _};
use clap::Args;
use mailbell::mcp::over_http::{self, Reach};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ServerCapabilities, ServerConfig},
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio::{process::Command, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Failure, How,
    caller::Caller,
    events::Maker,
    house::{self, House, SOURCE},
    load::{Connection, count, percentile},
    rounds::{Samples, in_turn},
    table::{Aim, Table, short},
    usage,
};

/// Events that are in the log.
const EVENTS: u32 = 100;
/// Calls are answered as fast as they come; a token's limit is not what is measured.
const SETTINGS: &str = "[mcp]\ncalls_per_minute_max = 4000000000\n";
const TOOLS: [(&str, &str); 2] = [("list_events", r#"{"limit":1}"#), ("list_mailboxes", "{}")];
/// Servers that answer each of them.
const RIVALS: usize = 3;
const WARM: Duration = Duration::from_millis(500);

/// Calls of tools a second.
#[derive(Args)]
pub(crate) struct Calls {
    /// Agents that call at once
    #[arg(long, default_value_t = 64)]
    callers: usize,
}

/// Who answers.
struct Rival {
    name: String,
    at: SocketAddr,
    pid: u32,
    tool: &'static str,
    arguments: Value,
}

/// What a turn showed.
struct Turn {
    per_sec: f64,
    p50_ms: f64,
    p99_ms: f64,
    server_micros: f64,
}

impl Calls {
    pub(crate) async fn run(self, how: &How) -> Result<(), Failure> {
        let settings = how.dir.join("calls.toml");
        fs::write(&settings, SETTINGS)?;
        let house = House::start(how, &["--config", settings.to_str().ok_or("the directory is no text")?]).await?;
        let mut poster = Connection::open(house.addr("hooks")?, &format!("/hooks/{SOURCE}")).await?;
        let maker = Maker::new(1);
        for _ in 0..EVENTS {
            poster.post(&maker.post()).await?;
        }
        let (mcp, token) = (house.addr("mcp")?, house.token("mcp").await?);

        let (mut rivals, mut plain) = (Vec::new(), Vec::new());
        for (tool, arguments) in TOOLS {
            let arguments: Value = serde_json::from_str(arguments)?;
            let mut caller = Caller::open(mcp, &token).await?;
            let request = caller.request(tool, &arguments);
            let answer = caller.message(&request).await?;
            let file = how.dir.join(format!("answer-{tool}.json"));
            fs::write(&file, answer.to_string())?;
            for (name, flags) in [("plain axum", &["plain"][..]), ("rmcp alone", &["plain", "--by-rmcp"])] {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(flags).arg("--answer").arg(&file);
                let (child, line) = house::until_it_speaks(&mut command).await?;
                let (at, pid) = (line.trim().parse()?, child.id().unwrap_or_default());
                plain.push(child);
                let name = format!("{name}, the JSON of {tool}");
                rivals.push(Rival { name, at, pid, tool, arguments: arguments.clone() });
            }
            rivals.push(Rival { name: format!("mailbell, {tool}"), at: mcp, pid: house.pid(), tool, arguments });
        }

        let found = in_turn(how.rounds, &mut rivals, async |rival, _| self.turn(how, rival, &token).await).await?;
        let of = |rival: usize, what: fn(&Turn) -> f64| found[rival].iter().map(what).collect::<Samples>();
        let columns = ["server", "calls/s", "p50 ms", "p99 ms", "server CPU µs/call", "beside plain axum"];
        let mut table = Table::new(&format!("Calls of tools by {} callers", self.callers), &columns);
        for (at, rival) in rivals.iter().enumerate() {
            let per_sec = of(at, |turn| turn.per_sec);
            let ratio = per_sec.over(&of(at / RIVALS * RIVALS, |turn| turn.per_sec));
            let p50 = of(at, |turn| turn.p50_ms);
            let (p99, micros) = (of(at, |turn| turn.p99_ms), of(at, |turn| turn.server_micros));
            let cells = [&per_sec, &p50, &p99, &micros, &ratio].map(|samples| samples.show(short));
            table.row([vec![rival.name.clone()], cells.to_vec()].concat());
            if at % RIVALS == RIVALS - 1 {
                table.aim(format!("{}: calls/s beside plain axum", rival.name), ratio.median(), Aim::Least(0.3));
                table.aim(format!("{}: p50 in ms", rival.name), p50.median(), Aim::Most(10.0));
            }
        }
        for child in plain {
            house::end(child).await?;
        }
        house.end().await?;
        table.print(how)
    }

    async fn turn(&self, how: &How, rival: &Rival, token: &str) -> Result<Turn, Failure> {
        let (counting, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut callers = JoinSet::new();
        for _ in 0..self.callers {
            let caller = Caller::open(rival.at, token).await?;
            let request = caller.request(rival.tool, &rival.arguments);
            callers.spawn(call(caller, request, counting.clone(), over.clone()));
        }
        tokio::time::sleep(WARM).await;
        let (cpu, began) = (usage::of(rival.pid).cpu, Instant::now());
        counting.store(true, Ordering::Relaxed);
        tokio::time::sleep(how.turn(4.0)).await;
        counting.store(false, Ordering::Relaxed);
        let (took, cpu) = (began.elapsed(), usage::of(rival.pid).cpu.saturating_sub(cpu));
        over.store(true, Ordering::Relaxed);
        let mut micros = Vec::new();
        while let Some(done) = callers.join_next().await {
            micros.extend(done??);
        }
        micros.sort_unstable();
        let calls = count(micros.len() as u64);
        Ok(Turn {
            per_sec: calls / took.as_secs_f64(),
            p50_ms: percentile(&micros, 0.5) / 1e3,
            p99_ms: percentile(&micros, 0.99) / 1e3,
            server_micros: cpu.as_secs_f64() * 1e6 / calls,
        })
    }
}

/// Calls until it is over; answers with how long each call that counts took, in microseconds.
async fn call(
    mut caller: Caller,
    request: Vec<u8>,
    counting: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
) -> Result<Vec<u32>, Failure> {
    let mut micros = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = caller.exchange(&request).await?;
        let took = began.elapsed();
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(String::from_utf8_lossy(answer).into_owned().into());
        }
        if counting.load(Ordering::Relaxed) {
            micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        }
    }
    Ok(micros)
}

/// Plain axum: it reads the request as JSON and answers what it was given.
#[derive(Args)]
pub(crate) struct Plain {
    /// The file of the answer
    #[arg(long)]
    answer: PathBuf,
    /// Answer by rmcp, in the way that mailbell serves it, with a handler that does nothing else
    #[arg(long)]
    by_rmcp: bool,
}

/// Answers each call the same.
#[derive(Clone)]
struct Same(CallToolResult);

impl ServerHandler for Same {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(self.0.clone().into())
    }
}

impl Plain {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let answer = Bytes::from(fs::read(self.answer)?);
        if self.by_rmcp {
            let message: Value = serde_json::from_slice(&answer)?;
            let same = Same(serde_json::from_value(message["result"].clone())?);
            let (service, _) = over_http::service(same, Reach::default(), CancellationToken::new());
            return serve(Router::new().route_service("/mcp", service)).await;
        }
        let handler = async move |Json(request): Json<Value>| {
            let known = request["method"] == json!("tools/call");
            ([(CONTENT_TYPE, "application/json")], if known { answer.clone() } else { Bytes::new() })
        };
        serve(Router::new().route("/mcp", post(handler))).await
    }
}

async fn serve(router: Router) -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}
