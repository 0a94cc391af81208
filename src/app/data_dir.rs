//! The data directory: what lies where, readable by its owner alone. Who keeps it is told in [`super::keeper`].

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy as _;

/// Readable by the owner alone: the directory holds mail and secrets.
pub(super) const DIR_MODE: u32 = 0o700;
/// The same for each file with a secret in it.
pub(super) const FILE_MODE: u32 = 0o600;
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
    /// Another process keeps it, and answers nobody.
    #[error(
        "the keeper of {}, process {pid}, holds its lock and has not answered for {silent_secs} s: it is stopped or stuck; let it go on (kill -CONT {pid}) or end it (kill -KILL {pid}), then start again",
        .path.display()
    )]
    Silent {
        /// The directory.
        path: PathBuf,
        /// The keeper's process id.
        pid: u32,
        /// How long it was asked, in seconds.
        silent_secs: u64,
    },
}

fn pid_note(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

impl DataDir {
    /// Uses `root`, or the default under `$XDG_DATA_HOME`; makes it, readable by its owner alone, where it is missing.
    pub fn open(root: Option<PathBuf>) -> Result<Self, DataDirError> {
        let root = match root {
            Some(root) => root,
            None => Self::default_root()?,
        };
        let dir = Self { root };
        Self::make_dir(&dir.root)?;
        Self::make_dir(&dir.tokens())?;
        Ok(dir)
    }

    /// Where it is if nobody says otherwise: `$XDG_DATA_HOME/mailbell`.
    pub fn default_root() -> Result<PathBuf, DataDirError> {
        Ok(base()?.data_dir().join("mailbell"))
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

    pub(super) fn keeper_file(&self) -> PathBuf {
        self.root.join("keeper.json")
    }

    pub(super) fn lock_file(&self) -> PathBuf {
        self.root.join("keeper.lock")
    }

    pub(super) fn claim_file(&self) -> PathBuf {
        self.root.join("serve.lock")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.root.join("wake.sock")
    }

    /// The token in the file of that name, if there is one.
    pub fn token(&self, name: &str) -> Result<Option<String>, DataDirError> {
        Ok(Self::read(self.tokens().join(name))?.map(|text| text.trim().to_owned()))
    }

    /// Keeps a token in a file of that name, readable by its owner alone.
    pub fn keep_token(&self, name: &str, token: &str) -> Result<(), DataDirError> {
        self.write_whole(&self.tokens().join(name), format!("{token}\n").as_bytes())
    }

    /// Removes the token in the file of that name.
    pub fn remove_token(&self, name: &str) -> Result<(), DataDirError> {
        let path = self.tokens().join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(DataDirError::Io { doing: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// The key of the audit record's chain, or a link to it.
    pub fn audit_key(&self) -> PathBuf {
        self.root.join(crate::store::bell::AUDIT_KEY_FILE)
    }

    pub(super) fn read(path: PathBuf) -> Result<Option<String>, DataDirError> {
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataDirError::Io { doing: "read", path, source }),
        }
    }

    /// Writes a file so that others see the old content or the new, never half of it.
    pub(super) fn write_whole(&self, path: &Path, content: &[u8]) -> Result<(), DataDirError> {
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
