//! Handlers as people write them from the use case's page; `benches/peers/install` puts what they need into `target/peers`.

use std::path::{Path, PathBuf};

use tokio::process::{Child, Command};

use crate::{Failure, events::SECRET, house::until_it_speaks};

/// Somebody else's way to take events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    FastapiSqlite,
    FastapiRedis,
    FastapiRedisAlways,
    ExpressSqlite,
}

impl Peer {
    /// What it is called on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FastapiSqlite => "fastapi-sqlite",
            Self::FastapiRedis => "fastapi-redis",
            Self::FastapiRedisAlways => "fastapi-redis-always",
            Self::ExpressSqlite => "express-sqlite",
        }
    }

    /// What it is.
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::FastapiSqlite => "FastAPI, SQLite (FULL)",
            Self::FastapiRedis => "FastAPI, Redis (not durable)",
            Self::FastapiRedisAlways => "FastAPI, Redis (appendfsync always)",
            Self::ExpressSqlite => "Express, better-sqlite3 (FULL)",
        }
    }
}

/// Where the peers' files are, and where what they need is.
fn places() -> (PathBuf, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    (root.join("benches/peers"), root.join("target/peers"))
}

/// Starts `peer` with its data in `dir`: its processes, and the URL that it takes events at.
pub(crate) async fn start(peer: Peer, dir: &Path) -> Result<(Vec<Child>, String), Failure> {
    let (files, needs) = places();
    if !needs.join("ready").is_file() {
        return Err("the peers are not installed; run benches/peers/install, or leave them out with --rivals".into());
    }
    let mut children = Vec::new();
    let mut command = match peer {
        Peer::ExpressSqlite => {
            let mut command = Command::new("node");
            command.arg(files.join("express_sqlite.mjs")).env("NODE_MODULES", needs.join("node_modules"));
            command
        }
        Peer::FastapiSqlite | Peer::FastapiRedis | Peer::FastapiRedisAlways => {
            let mut command = Command::new(needs.join("venv/bin/python"));
            command.arg(files.join(if peer == Peer::FastapiSqlite { "fastapi_sqlite.py" } else { "fastapi_redis.py" }));
            command
        }
    };
    if matches!(peer, Peer::FastapiRedis | Peer::FastapiRedisAlways) {
        let always = peer == Peer::FastapiRedisAlways;
        let socket = std::path::absolute(dir.join("redis.sock"))?;
        let mut redis = Command::new("redis-server");
        redis.arg("--port").arg("0").arg("--unixsocket").arg(&socket).arg("--dir").arg(dir).args(["--save", ""]);
        redis.args([
            "--appendonly",
            if always { "yes" } else { "no" },
            "--appendfsync",
            if always { "always" } else { "no" },
        ]);
        children.push(until_it_speaks(&mut redis).await?.0);
        command.env("REDIS_SOCKET", &socket);
        if always {
            command.env("KEEP_EVENTS", "yes");
        }
    }
    command.env("WEBHOOK_SECRET", SECRET).env("DATA_DIR", dir);
    let (child, url) = until_it_speaks(&mut command).await?;
    children.push(child);
    Ok((children, url))
}
