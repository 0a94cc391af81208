//! The raw bytes of messages: small ones lie in `mail.db`, larger ones in files, `blobs/ab/abcdef…`, named by their SHA-256.
//!
//! Small ones are stored in the transaction of their message, whose commit many share, and go with the last message that has
//! them. Their names begin with the time, so that those which come together lie together in each index over names: a digest
//! alone, which they had before, costs each mail two pages of its own. What follows is random: nobody finds small ones by what
//! is in them, and a digest costs more.
//!
//! A file appears under its name whole and on disk, or not at all: it is written under `blobs/tmp`, synced, renamed, and its
//! directory synced, before any row names it. Two messages with the same bytes share a file. It is removed a day after the last
//! message that had it is gone, never sooner.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};

use crate::{
    domain::clock::UnixMillis,
    ids::Ids,
    signing::digest::sha256,
    store::mailroom::{Raw, RawMail},
};

/// Messages of at most so many bytes lie in the database: below some 100 KB SQLite writes and reads them faster than files,
/// which cost two `fsync`s each. More would crowd the rows out of its cache and its log.
pub const IN_DATABASE_BYTES_MAX: usize = 64 * 1024;

/// Where files are written before they have their name.
const UNFINISHED: &str = "tmp";

/// The raw messages; clones share them.
#[derive(Clone)]
pub struct Blobs {
    root: Arc<Path>,
    database: Arc<dyn RawMail>,
    /// Read by who writes a file, written by who removes one: bytes that come again are never taken away under their row.
    in_use: Arc<RwLock<()>>,
}

impl Blobs {
    /// Opens or creates the directory at `root`, and removes what a crash left unfinished in it. Only the keeper of the
    /// data directory may do so. What is small is looked for in `database`.
    pub fn open(root: &Path, database: Arc<dyn RawMail>) -> io::Result<Self> {
        let unfinished = root.join(UNFINISHED);
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&unfinished)?;
        File::open(root)?.sync_all()?;
        Ok(Self { root: root.into(), database, in_use: Arc::default() })
    }

    /// Makes `bytes` ready to be stored with their message. Small ones are called `name`: a new one, or that of a message which
    /// has the same bytes, so that both share them. Large ones are in a file on disk when this answers, named by their digest; a
    /// file that is there already is left alone.
    pub async fn put(&self, bytes: Arc<Vec<u8>>, name: String) -> io::Result<Raw> {
        let size_bytes = bytes.len() as u64;
        if bytes.len() <= IN_DATABASE_BYTES_MAX {
            return Ok(Raw { name, size_bytes, bytes: Some(bytes) });
        }
        let Self { root, in_use, .. } = self.clone();
        let name = run_blocking(move || {
            let _in_use = in_use.read().unwrap_or_else(PoisonError::into_inner);
            put(&root, &bytes)
        });
        Ok(Raw { name: name.await?, size_bytes, bytes: None })
    }

    /// The names of the files on the shelf of `prefix`, one of 256, that were put there long enough before `now` for their message to be stored.
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

    /// Removes the files of `names` that have not been put there again in the meantime.
    pub async fn remove_settled(&self, names: Vec<String>, now: UnixMillis) -> io::Result<()> {
        let Self { root, in_use, .. } = self.clone();
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
        match self.database.raw(name).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => run_blocking(move || fs::read(path)).await,
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// A new name for small bytes: the time and chance, as many digits as a digest has.
pub fn new_name(ids: &Ids, now: UnixMillis) -> String {
    ids.random::<24>(&format!("{:016x}", now.0.max(0)))
}

/// A message is stored within seconds of its bytes; only what is far older than that is looked at for removal.
const SETTLED_MILLIS: i64 = 24 * 3_600_000;

fn is_settled(metadata: &fs::Metadata, now: UnixMillis) -> bool {
    metadata.mtime() * 1000 < now.0.saturating_sub(SETTLED_MILLIS)
}

async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|ended| Err(io::Error::other(ended)))
}

/// Where the bytes called `name` are under `root`. A name comes from a row; one that is no such name must not become a path.
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
    use crate::{ids::still, store::StoreError};

    struct Nothing;

    #[async_trait::async_trait]
    impl RawMail for Nothing {
        async fn raw(&self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(None)
        }
    }

    fn open(root: &Path) -> Blobs {
        Blobs::open(root, Arc::new(Nothing)).expect("opened")
    }

    fn large(filler: u8) -> Arc<Vec<u8>> {
        Arc::new(vec![filler; IN_DATABASE_BYTES_MAX + 1])
    }

    #[tokio::test]
    async fn large_messages_are_kept_once_under_their_digest_and_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = open(dir.path());
        let bytes = large(b'x');
        let raw = blobs.put(bytes.clone(), "one".into()).await.expect("written");
        assert_eq!(raw.name, hex::encode(sha256(&bytes)));
        assert!(raw.bytes.is_none(), "they are in a file");
        assert_eq!(blobs.put(bytes.clone(), "other".into()).await.expect("written again").name, raw.name);
        assert_eq!(blobs.get(&raw.name).await.expect("read"), *bytes);
        assert_eq!(fs::read_dir(dir.path().join(&raw.name[..2])).expect("a shelf").count(), 1);
        assert_eq!(fs::read_dir(dir.path().join("tmp")).expect("listed").count(), 0);
    }

    #[tokio::test]
    async fn small_messages_touch_no_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let raw = open(dir.path()).put(Arc::new(b"hello".to_vec()), "one".into()).await.expect("made ready");
        assert_eq!(raw.name, "one");
        assert_eq!((raw.size_bytes, raw.bytes.as_deref()), (5, Some(&b"hello".to_vec())));
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "tmp alone");
    }

    #[test]
    fn a_new_name_begins_with_the_time_and_ends_with_chance() {
        let name = |at| new_name(&still::ids(0xab), UnixMillis(at));
        let one = name(0x1a2b);
        assert_eq!(one, format!("0000000000001a2b{}", "ab".repeat(24)));
        assert!(path(Path::new("blobs"), &one).is_ok(), "it is a name");
        assert!(one < name(0x1a2c) && name(-1) < one, "later ones come after it");
    }

    #[tokio::test]
    async fn what_a_crash_left_unfinished_is_removed_and_the_rest_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let kept = large(b'k');
        let name = open(dir.path()).put(kept.clone(), "kept".into()).await.expect("written").name;
        fs::write(dir.path().join("tmp/half"), b"ha").expect("written");
        let blobs = open(dir.path());
        assert!(!dir.path().join("tmp/half").exists());
        assert_eq!(blobs.get(&name).await.expect("read"), *kept);
    }

    #[tokio::test]
    async fn what_is_no_name_reaches_no_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = open(dir.path());
        for name in ["", "..", "../../etc/passwd", &"A".repeat(64)] {
            let refused = blobs.get(name).await.expect_err("refused");
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }
}
