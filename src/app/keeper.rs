//! Who keeps a data directory, and what it tells the others.
//!
//! The process that holds the kernel's lock on `keeper.lock` is the keeper: it alone binds listeners, opens `mail.db` and
//! changes schemas. The lock goes with the process, however that ends; `keeper.json` tells the others where it listens, and
//! an heir what to take over. A `serve` that starts holds `serve.lock` until it keeps the directory: meanwhile no
//! `mailbell mcp` takes the other lock, and one that has it gives it back.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use url::Url;

use super::{
    data_dir::{DataDir, DataDirError, FILE_MODE},
    local_socket::{self, Pulse},
};
use crate::{
    config::{Config, ListenAddr},
    domain::clock::{Moment, UnixMillis},
    domain::notice::NoticeTarget,
};

/// How long to wait for a lock behind which nobody has published: a command has it for a moment, a keeper that starts for
/// little longer, and one that ends or gives way for up to 4 seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a `serve` waits for a `mailbell mcp` to give way, which lets what is in progress end for up to 4 seconds.
const GIVING_WAY_MAX: Duration = Duration::from_secs(8);
/// How often to look meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The lock of the data directory; whoever holds it is the keeper, until it is dropped or the process ends.
#[derive(Debug)]
pub struct KeeperLock {
    _file: File,
    /// What a keeper left that ended without taking it back.
    left: Option<Heritage>,
}

impl KeeperLock {
    /// What a predecessor that was killed had told of itself.
    pub(super) fn left(&self) -> Option<&Heritage> {
        self.left.as_ref()
    }
}

/// Says that a `serve` waits to keep the directory, until it is dropped.
#[derive(Debug)]
pub(super) struct Claim(#[expect(dead_code, reason = "it is the lock on this file that says it")] File);

/// Where a keeper's listeners are; a listener that is not built or turned off has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the base URL or address of the listener of its name")]
pub struct Addresses {
    pub mcp: Option<String>,
    pub hooks: Option<String>,
    pub api: Option<String>,
    pub smtp: Option<String>,
    pub lmtp: Option<String>,
    pub console: Option<String>,
    /// The process that listens there.
    pub pid: u32,
}

/// What an heir takes over. Secrets are not in it: each process has those of its own settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heritage {
    /// What each listener (by section) is bound to.
    listen: BTreeMap<String, SocketAddr>,
    /// The hosted mail API in place of the embedded service, if there is one.
    base_url: Option<Url>,
    public_url: Option<Url>,
    domains: Vec<String>,
    hostname: String,
    webhook_hosts: Vec<String>,
    mcp_hosts: Vec<String>,
    mcp_origins: Vec<String>,
    /// Where the operator is told; the file is as private as the settings.
    #[serde(default)]
    notify: Vec<String>,
}

/// The moment at which a keeper began, on both clocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    at: UnixMillis,
    boot_id: String,
    boot_millis: i64,
}

impl From<Moment> for Began {
    fn from(moment: Moment) -> Self {
        let Moment { wall, boot } = moment;
        Self { at: wall, boot_id: boot.boot_id, boot_millis: boot.millis }
    }
}

impl Began {
    /// When that was, as the wall clock had it.
    pub fn at(&self) -> UnixMillis {
        self.at
    }

    /// By how many milliseconds the wall clock has been set since, forward or back; none where the machine was started anew.
    pub fn set_by(&self, now: &Moment) -> Option<i64> {
        let passed = now.boot.millis.saturating_sub(self.boot_millis);
        (self.boot_id == now.boot.boot_id).then(|| now.wall.0.saturating_sub(self.at.0).saturating_sub(passed))
    }
}

impl Heritage {
    /// Under which URL the world reaches the receiver, where that is said.
    pub fn public_url(&self) -> Option<&Url> {
        self.public_url.as_ref()
    }

    /// What a keeper with `config` leaves, whose listeners are bound to `listen`.
    pub(super) fn of(config: &Config, listen: BTreeMap<String, SocketAddr>) -> Self {
        Self {
            listen,
            base_url: config.mail.base_url.clone(),
            public_url: config.hooks.public_url.clone(),
            domains: config.mail.domains.clone(),
            hostname: config.smtp.hostname.clone(),
            webhook_hosts: config.webhooks.allow_hosts.clone(),
            mcp_hosts: config.mcp.allowed_hosts.clone(),
            mcp_origins: config.mcp.allowed_origins.clone(),
            notify: config.operator.notify.iter().map(ToString::to_string).collect(),
        }
    }

    /// Whether a process with `config` can keep the same house: one with the embedded service, or one on the same hosted API,
    /// whose key is in nobody's heritage.
    pub(super) fn fits(&self, config: &Config) -> bool {
        self.base_url == config.mail.base_url
    }

    /// Puts it in place of what `config` says.
    pub(super) fn settle_into(self, config: &mut Config) {
        let Self { listen, base_url: _, public_url, domains, hostname, webhook_hosts, mcp_hosts, mcp_origins, notify } =
            self;
        let listeners = [
            ("mcp", &mut config.mcp.addr),
            ("hooks", &mut config.hooks.addr),
            ("api", &mut config.api.addr),
            ("smtp", &mut config.smtp.addr),
            ("lmtp", &mut config.lmtp.addr),
            ("console", &mut config.console.addr),
        ];
        for (section, addr) in listeners {
            if let Some(bound) = listen.get(section) {
                *addr = ListenAddr(*bound);
            }
        }
        config.hooks.public_url = public_url;
        config.mail.domains = domains;
        config.smtp.hostname = hostname;
        config.webhooks.allow_hosts = webhook_hosts;
        config.mcp.allowed_hosts = mcp_hosts;
        config.mcp.allowed_origins = mcp_origins;
        config.operator.notify = notify.iter().filter_map(|target| NoticeTarget::of_settings(target).ok()).collect();
    }
}

/// What a keeper tells the other processes of its directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Where it listens.
    #[serde(flatten)]
    pub addresses: Addresses,
    /// The number of its term in `bell.db`.
    pub epoch: i32,
    /// Whether it gives way to a `serve`.
    pub yields: bool,
    /// What the clocks said when it began; none where an earlier version wrote this.
    #[serde(default)]
    pub began: Option<Began>,
    /// What its heir takes over.
    pub heritage: Heritage,
}

impl DataDir {
    /// Becomes the keeper, if nobody is.
    pub fn try_keep(&self) -> Result<Option<KeeperLock>, DataDirError> {
        let Some(file) = try_lock(&self.lock_file(), File::try_lock)? else { return Ok(None) };
        let left = self.published()?.map(|published| published.heritage);
        // What an earlier keeper published is no longer true.
        self.unpublish()?;
        Ok(Some(KeeperLock { _file: file, left }))
    }

    /// Becomes the keeper, unless one has published where it listens, or a `serve` waits to be. A process that holds the lock
    /// and has not published is waited for: it either gives the lock back soon or publishes.
    pub async fn keep_or_join(&self) -> Result<Option<KeeperLock>, DataDirError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if !self.serve_waits()?
                && let Some(lock) = self.try_keep()?
            {
                return Ok(Some(lock));
            }
            if self.published()?.is_some() || Instant::now() >= deadline {
                return Ok(None);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Becomes the keeper, or says who is.
    pub async fn keep(&self) -> Result<KeeperLock, DataDirError> {
        match self.keep_or_join().await? {
            Some(lock) => Ok(lock),
            None => Err(self.kept()?),
        }
    }

    /// Becomes the keeper for a `serve`: a `mailbell mcp` that keeps the directory gives way.
    pub async fn keep_for_serve(&self) -> Result<KeeperLock, DataDirError> {
        let began = Instant::now();
        let mut claim = None;
        loop {
            if claim.is_none() {
                claim = try_lock(&self.claim_file(), File::try_lock)?.map(Claim);
            }
            // Without the claim, another `serve` is before us.
            if claim.is_some()
                && let Some(lock) = self.try_keep()?
            {
                return Ok(lock);
            }
            let published = self.published()?;
            let stays = published.is_some_and(|published| !published.yields && published.lives());
            if stays || began.elapsed() >= GIVING_WAY_MAX {
                return Err(match (local_socket::pulse(self).await, self.kept()?) {
                    (Pulse::Silent, DataDirError::Kept { path, pid: Some(pid) }) => {
                        DataDirError::Silent { path, pid, silent_secs: began.elapsed().as_secs() }
                    }
                    (_, kept) => kept,
                });
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn kept(&self) -> Result<DataDirError, DataDirError> {
        let pid = self.published()?.map(|published| published.addresses.pid);
        Ok(DataDirError::Kept { path: self.root().to_owned(), pid })
    }

    /// Whether a `serve` waits to keep the directory.
    pub(super) fn serve_waits(&self) -> Result<bool, DataDirError> {
        // Shared, so that several who ask do not take each other for a claim.
        Ok(try_lock(&self.claim_file(), File::try_lock_shared)?.is_none())
    }

    /// Tells other processes what they need to know of this keeper.
    pub(super) fn publish(&self, published: &Published) -> Result<(), DataDirError> {
        let text = serde_json::to_string(published).expect("texts and numbers only");
        self.write_whole(&self.keeper_file(), text.as_bytes())
    }

    /// Takes back what was published.
    pub(super) fn unpublish(&self) -> Result<(), DataDirError> {
        let path = self.keeper_file();
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(DataDirError::Io { doing: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// What the keeper has published, once it has.
    pub fn published(&self) -> Result<Option<Published>, DataDirError> {
        let text = Self::read(self.keeper_file())?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }
}

impl Published {
    /// Whether its process is still there; one that was killed leaves what it published behind.
    fn lives(&self) -> bool {
        i32::try_from(self.addresses.pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
    }
}

/// Opens the file at `path` and locks it, if the lock is free.
fn try_lock(path: &Path, lock: impl FnOnce(&File) -> Result<(), TryLockError>) -> Result<Option<File>, DataDirError> {
    let io = |doing, source| DataDirError::Io { doing, path: PathBuf::from(path), source };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|source| io("open", source))?;
    match lock(&file) {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(io("lock", source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Overrides, load};

    fn published() -> Published {
        let config = load(Overrides::default()).expect("the defaults").config;
        let listen = [("api".to_owned(), "127.0.0.1:9".parse().expect("an address"))].into();
        let addresses = Addresses { mcp: None, hooks: None, api: None, smtp: None, lmtp: None, console: None, pid: 7 };
        Published { addresses, epoch: 1, yields: false, began: None, heritage: Heritage::of(&config, listen) }
    }

    fn in_a_directory() -> (tempfile::TempDir, DataDir) {
        let home = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(Some(home.path().join("a/b"))).expect("opened");
        (home, dir)
    }

    #[tokio::test]
    async fn one_keeper_at_a_time_and_what_it_told_goes_with_it() {
        let (_home, dir) = in_a_directory();
        let lock = dir.keep().await.expect("nobody keeps it");
        dir.publish(&published()).expect("published");
        assert!(dir.try_keep().expect("asked").is_none());
        let refused = dir.keep().await.expect_err("kept").to_string();
        assert!(refused.contains("process 7"), "{refused}");
        drop(lock);
        let lock = dir.keep().await.expect("free again");
        assert_eq!(dir.published().expect("read"), None);
        let mut config = load(Overrides::default()).expect("the defaults").config;
        lock.left().expect("it was killed").clone().settle_into(&mut config);
        assert_eq!(config.api.addr.to_string(), "127.0.0.1:9");
    }

    #[tokio::test]
    async fn a_lock_that_is_held_for_a_moment_is_waited_for() {
        let (_home, dir) = in_a_directory();
        let command = dir.try_keep().expect("asked").expect("nobody keeps it");
        let (kept, ()) = tokio::join!(dir.keep(), async { drop(command) });
        let keeper = kept.expect("the command gave it back");

        let (joined, ()) = tokio::join!(dir.keep_or_join(), async { dir.publish(&published()).expect("published") });
        assert!(joined.expect("asked").is_none(), "it joins the keeper as soon as that can be found");
        assert_eq!(dir.published().expect("read"), Some(published()));
        drop(keeper);
    }

    #[tokio::test]
    async fn nobody_is_faster_than_a_serve_that_waits() {
        let (_home, dir) = in_a_directory();
        let mcp = dir.try_keep().expect("asked").expect("nobody keeps it");
        dir.publish(&Published { yields: true, ..published() }).expect("published");
        assert!(!dir.serve_waits().expect("asked"));
        let (serve, other) = (dir.clone(), dir.clone());
        let serve = tokio::spawn(async move { serve.keep_for_serve().await });
        while !dir.serve_waits().expect("asked") {
            tokio::task::yield_now().await;
        }
        let other = tokio::spawn(async move { other.keep_or_join().await });
        drop(mcp);
        let _lock = serve.await.expect("ran").expect("it gave way");
        dir.publish(&published()).expect("published");
        assert!(other.await.expect("ran").expect("asked").is_none());
        assert!(!dir.serve_waits().expect("asked"));
    }
}
