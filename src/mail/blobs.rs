//! The raw bytes of messages, as files named by their SHA-256: `blobs/ab/abcdef…`.
//!
//! A file appears under its name whole and on disk, or not at all: it is written under `blobs/tmp`, synced, renamed,
//! and its directory synced, before any row names it. Two messages with the same bytes share a file. It is removed a day
//! after the last message that had it is gone, never sooner.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};

use crate::{domain::clock::UnixMillis, signing::digest::sha256};

/// Where files are written before they have their name.
const UNFINISHED: &str = "tmp";

/// A directory of raw messages; clones share it.
#[derive(Debug, Clone)]
pub struct Blobs {
    root: Arc<Path>,
    /// Read by who writes a file, written by who removes one: bytes that come again are never taken away under their row.
    in_use: Arc<RwLock<()>>,
}

impl Blobs {
    /// Opens or creates the directory at `root`, and removes what a crash left unfinished in it. Only the keeper of the
    /// data directory may do so.
    pub fn open(root: &Path) -> io::Result<Self> {
        let unfinished = root.join(UNFINISHED);
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&unfinished)?;
        File::open(root)?.sync_all()?;
        Ok(Self { root: root.into(), in_use: Arc::default() })
    }

    /// Writes `bytes` and answers with their name once they are on disk. Bytes that are there already are left alone.
    pub async fn put(&self, bytes: Arc<Vec<u8>>) -> io::Result<String> {
        let Self { root, in_use } = self.clone();
        run_blocking(move || {
            let _in_use = in_use.read().unwrap_or_else(PoisonError::into_inner);
            put(&root, &bytes)
        })
        .await
    }

    /// The names on the shelf of `prefix`, one of 256, that were put there long enough before `now` for their message to be stored.
    pub async fn settled(&self, prefix: u8, now: UnixMillis) -> io::Result<Vec<String>> {
        let directory = self.root.join(hex::encode([prefix]));
        run_blocking(move || {
            let mut names = Vec::new();
            let entries = match fs::read_dir(&directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                if is_settled(&entry.metadata()?, now) {
                    names.extend(entry.file_name().into_string());
                }
            }
            Ok(names)
        })
        .await
    }

    /// Removes those of `names` that have not been put there again in the meantime.
    pub async fn remove_settled(&self, names: Vec<String>, now: UnixMillis) -> io::Result<()> {
        let Self { root, in_use } = self.clone();
        run_blocking(move || {
            for name in names {
                let path = path(&root, &name)?;
                let _alone = in_use.write().unwrap_or_else(PoisonError::into_inner);
                if is_settled(&fs::metadata(&path)?, now) {
                    fs::remove_file(path)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// The bytes called `name`.
    pub async fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = path(&self.root, name)?;
        run_blocking(move || fs::read(path)).await
    }
}

/// A message is stored within seconds of its bytes; only what is far older than that is looked at for removal.
const SETTLED_MILLIS: i64 = 24 * 3_600_000;

fn is_settled(metadata: &fs::Metadata, now: UnixMillis) -> bool {
    metadata.mtime() * 1000 < now.0.saturating_sub(SETTLED_MILLIS)
}

async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|ended| Err(io::Error::other(ended)))
}

/// Where the bytes called `name` are under `root`. A name comes from a row; one that is no digest must not become a path.
pub fn path(root: &Path, name: &str) -> io::Result<PathBuf> {
    if name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(root.join(&name[..2]).join(name))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "the name of a raw message is 64 hexadecimal digits"))
    }
}

fn put(root: &Path, bytes: &[u8]) -> io::Result<String> {
    let name = hex::encode(sha256(bytes));
    let target = path(root, &name)?;
    let directory = root.join(&name[..2]);
    match fs::create_dir(&directory) {
        Ok(()) => File::open(root)?.sync_all()?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    if target.exists() {
        // As if written now: it is in use again.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification: now };
        futimens(&File::open(&target)?, &times)?;
    } else {
        let mut file = tempfile::NamedTempFile::new_in(root.join(UNFINISHED))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|refused| refused.error)?;
    }
    // Also for a file that was there: whoever renamed it may not have come to this line yet.
    File::open(&directory)?.sync_all()?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_are_kept_once_under_their_digest_and_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::open(&dir.path().join("blobs")).expect("opened");
        let bytes = Arc::new(b"hello".to_vec());
        let name = blobs.put(bytes.clone()).await.expect("written");
        assert_eq!(name, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!(blobs.put(bytes.clone()).await.expect("written again"), name);
        assert_eq!(blobs.get(&name).await.expect("read"), *bytes);
        assert_eq!(fs::read_dir(dir.path().join("blobs/tmp")).expect("listed").count(), 0);
    }

    #[tokio::test]
    async fn what_a_crash_left_unfinished_is_removed_and_the_rest_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::open(dir.path()).expect("opened");
        let name = blobs.put(Arc::new(b"kept".to_vec())).await.expect("written");
        fs::write(dir.path().join("tmp/half"), b"ha").expect("written");
        let blobs = Blobs::open(dir.path()).expect("opened again");
        assert!(!dir.path().join("tmp/half").exists());
        assert_eq!(blobs.get(&name).await.expect("read"), b"kept");
    }

    #[tokio::test]
    async fn a_name_that_is_no_digest_reaches_no_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::open(dir.path()).expect("opened");
        for name in ["", "..", "../../etc/passwd", &"A".repeat(64)] {
            let refused = blobs.get(name).await.expect_err("refused");
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }
}
