//! The raw bytes of messages, as files named by their SHA-256: `blobs/ab/abcdef…`.
//!
//! A file appears under its name whole and on disk, or not at all: it is written under `blobs/tmp`, synced, renamed,
//! and its directory synced, before any row names it. Two messages with the same bytes share a file.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::signing::digest::sha256;

/// Where files are written before they have their name.
const UNFINISHED: &str = "tmp";

/// A directory of raw messages; clones share it.
#[derive(Debug, Clone)]
pub struct Blobs {
    root: Arc<Path>,
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
        Ok(Self { root: root.into() })
    }

    /// Writes `bytes` and answers with their name once they are on disk. Bytes that are there already are left alone.
    pub async fn put(&self, bytes: Arc<Vec<u8>>) -> io::Result<String> {
        let root = self.root.clone();
        run_blocking(move || put(&root, &bytes)).await
    }

    /// The bytes called `name`.
    pub async fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = path(&self.root, name)?;
        run_blocking(move || fs::read(path)).await
    }
}

async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|ended| Err(io::Error::other(ended)))
}

/// A name comes from a row; one that is no digest must not become a path.
fn path(root: &Path, name: &str) -> io::Result<PathBuf> {
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
    if !target.exists() {
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
