//! The data directory: what lies where, and who keeps it.
//!
//! The process that holds the kernel's lock on `keeper.lock` is the keeper: it alone binds listeners, opens `mail.db` and
//! changes schemas. The lock goes with the process, however that ends; `keeper.json` tells the others where it listens.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// Readable by the owner alone: the directory holds mail and secrets.
const DIR_MODE: u32 = 0o700;
/// The same for each file with a secret in it.
const FILE_MODE: u32 = 0o600;
/// How long to wait for a lock behind which nobody has published: a command has it for a moment, a keeper that starts for
/// little longer, and one that ends for up to 4 seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often to look meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A data directory.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A file or directory could not be made, read or written.
    #[error("could not {doing} {}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// There is no home directory to take the default from.
    #[error("there is no home directory to keep data in; name one with --data-dir DIR")]
    NoHome,
    /// Another process keeps it.
    #[error("another mailbell{} keeps {}; end it first, or choose another --data-dir", pid_note(*.pid), .path.display())]
    Kept {
        /// The directory.
        path: PathBuf,
        /// The keeper's process id, where it told one.
        pid: Option<u32>,
    },
}

fn pid_note(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// The lock of the data directory; whoever holds it is the keeper, until it is dropped or the process ends.
#[derive(Debug)]
pub struct KeeperLock {
    _file: File,
}

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

impl DataDir {
    /// Uses `root`, or the default under `$XDG_DATA_HOME`; makes it, readable by its owner alone, where it is missing.
    pub fn open(root: Option<PathBuf>) -> Result<Self, DataDirError> {
        let root = match root {
            Some(root) => root,
            None => base()?.data_dir().join("mailbell"),
        };
        let dir = Self { root };
        Self::make_dir(&dir.root)?;
        Self::make_dir(&dir.tokens())?;
        Ok(dir)
    }

    fn make_dir(path: &Path) -> Result<(), DataDirError> {
        let io = |doing| move |source| DataDirError::Io { doing, path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(path).map_err(io("make the directory"))?;
        let mode = fs::metadata(path).map_err(io("look at"))?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(DIR_MODE)).map_err(io("close to other users"))?;
        }
        Ok(())
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The event log and what belongs to it.
    pub fn bell_db(&self) -> PathBuf {
        self.root.join("bell.db")
    }

    /// The embedded mail service's database.
    pub fn mail_db(&self) -> PathBuf {
        self.root.join("mail.db")
    }

    /// Raw messages.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    fn tokens(&self) -> PathBuf {
        self.root.join("tokens")
    }

    fn keeper_file(&self) -> PathBuf {
        self.root.join("keeper.json")
    }

    /// Becomes the keeper, if nobody is.
    pub fn try_keep(&self) -> Result<Option<KeeperLock>, DataDirError> {
        let path = self.root.join("keeper.lock");
        let io = |doing, source| DataDirError::Io { doing, path: path.clone(), source };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(|source| io("open", source))?;
        match file.try_lock() {
            Ok(()) => {
                // What an earlier keeper published is no longer true.
                self.unpublish()?;
                Ok(Some(KeeperLock { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(io("lock", source)),
        }
    }

    /// Becomes the keeper, unless one has published where it listens. A process that holds the lock and has not is waited
    /// for: it either gives the lock back soon or publishes.
    pub async fn keep_or_join(&self) -> Result<Option<KeeperLock>, DataDirError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(lock) = self.try_keep()? {
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
            None => Err(DataDirError::Kept {
                path: self.root.clone(),
                pid: self.published()?.map(|addresses| addresses.pid),
            }),
        }
    }

    /// Tells other processes where this keeper listens.
    pub fn publish(&self, addresses: &Addresses) -> Result<(), DataDirError> {
        let text = serde_json::to_string(addresses).expect("addresses are plain texts");
        self.write_whole(&self.keeper_file(), text.as_bytes())
    }

    /// Takes back what was published.
    pub fn unpublish(&self) -> Result<(), DataDirError> {
        let path = self.keeper_file();
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(DataDirError::Io { doing: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// Where the keeper listens, once it does.
    pub fn published(&self) -> Result<Option<Addresses>, DataDirError> {
        let text = Self::read(self.keeper_file())?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The token in the file of that name, if there is one.
    pub fn token(&self, name: &str) -> Result<Option<String>, DataDirError> {
        Ok(Self::read(self.tokens().join(name))?.map(|text| text.trim().to_owned()))
    }

    /// Keeps a token in a file of that name, readable by its owner alone.
    pub fn keep_token(&self, name: &str, token: &str) -> Result<(), DataDirError> {
        self.write_whole(&self.tokens().join(name), format!("{token}\n").as_bytes())
    }

    fn read(path: PathBuf) -> Result<Option<String>, DataDirError> {
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataDirError::Io { doing: "read", path, source }),
        }
    }

    /// Writes a file so that others see the old content or the new, never half of it.
    fn write_whole(&self, path: &Path, content: &[u8]) -> Result<(), DataDirError> {
        let io = |doing| move |source| DataDirError::Io { doing, path: path.to_owned(), source };
        let mut file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(FILE_MODE))
            .tempfile_in(&self.root)
            .map_err(io("write"))?;
        file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(io("write"))?;
        file.persist(path).map_err(|error| io("write")(error.error))?;
        Ok(())
    }
}

/// The default configuration file, which need not exist.
pub fn default_config_file() -> Option<PathBuf> {
    let file = base().ok()?.config_dir().join("mailbell").join("config.toml");
    file.is_file().then_some(file)
}

fn base() -> Result<etcetera::base_strategy::Xdg, DataDirError> {
    etcetera::base_strategy::Xdg::new().map_err(|_| DataDirError::NoHome)
}

/// Writes a secret to a file that must not exist yet, readable by its owner alone.
pub fn write_secret_file(path: &Path, secret: &str) -> Result<(), DataDirError> {
    let io = |doing| move |source| DataDirError::Io { doing, path: path.to_owned(), source };
    let mut file =
        OpenOptions::new().create_new(true).write(true).mode(FILE_MODE).open(path).map_err(io("make a new file"))?;
    file.write_all(format!("{secret}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(io("write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_keeper_at_a_time_and_its_addresses_go_with_it() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(Some(home.path().join("a/b"))).expect("made");
        assert_eq!(fs::metadata(dir.root()).expect("there").permissions().mode() & 0o777, DIR_MODE);
        let lock = dir.keep().await.expect("nobody keeps it");
        let addresses = Addresses { mcp: None, hooks: None, api: None, smtp: None, lmtp: None, console: None, pid: 7 };
        dir.publish(&addresses).expect("published");
        assert!(dir.try_keep().expect("asked").is_none());
        let refused = dir.keep().await.expect_err("kept").to_string();
        assert!(refused.contains("process 7"), "{refused}");
        drop(lock);
        let _lock = dir.keep().await.expect("free again");
        assert_eq!(dir.published().expect("read"), None);
    }

    #[tokio::test]
    async fn a_lock_that_is_held_for_a_moment_is_waited_for() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(Some(home.path().into())).expect("opened");
        let command = dir.try_keep().expect("asked").expect("nobody keeps it");
        let (kept, ()) = tokio::join!(dir.keep(), async { drop(command) });
        let keeper = kept.expect("the command gave it back");

        let addresses = Addresses { mcp: None, hooks: None, api: None, smtp: None, lmtp: None, console: None, pid: 7 };
        let (joined, ()) = tokio::join!(dir.keep_or_join(), async { dir.publish(&addresses).expect("published") });
        assert!(joined.expect("asked").is_none(), "it joins the keeper as soon as that can be found");
        assert_eq!(dir.published().expect("read"), Some(addresses));
        drop(keeper);
    }

    #[test]
    fn a_token_is_kept_for_its_owner_alone() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(Some(home.path().into())).expect("opened");
        assert_eq!(dir.token("mcp").expect("read"), None);
        dir.keep_token("mcp", "mb_mcp_1").expect("kept");
        assert_eq!(dir.token("mcp").expect("read").as_deref(), Some("mb_mcp_1"));
        let mode = fs::metadata(dir.tokens().join("mcp")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, FILE_MODE);
    }
}
