//! A backup of a data directory, and a data directory out of one.
//!
//! A backup is a directory: copies of both databases as they were at one moment ([`crate::store::snapshot`]), the raw mail that
//! their messages have, and last of all a manifest, without which it is none. What proves who somebody is (secrets of sources
//! and webhooks, hashes of tokens and keys, the files with tokens and with the audit record's key) is in it only where that was
//! asked for.

mod making;
mod manifest;
mod restoring;

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

pub use self::{
    making::{Backup, NotBackedUp},
    manifest::{FORMAT, Manifest},
    restoring::{NotRestored, Restored, Restoring},
};
use super::data_dir::FILE_MODE;
use crate::signing::digest::Sha256Stream;

/// The names in a backup, which are those in a data directory.
const MANIFEST: &str = "manifest.json";
const BELL: &str = "bell.db";
const MAIL: &str = "mail.db";
const BLOBS: &str = "blobs";
const TOKENS: &str = "tokens";
const AUDIT_KEY: &str = "audit.key";
/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 20;

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub doing: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// Of how much.
    pub of: u64,
}

/// Somebody who is told of it.
pub type Watcher<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// A file that could not be read, made or written.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} {}", .path.display())]
pub struct FileError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError { doing, path: path.to_owned(), source }
}

/// A new file, readable by its owner alone.
fn new_file(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().create_new(true).write(true).mode(FILE_MODE).open(path)
}

/// Copies a file, and answers with its size in bytes and its SHA-256.
fn copy(from: &Path, to: &Path) -> Result<(u64, String), FileError> {
    let mut source = File::open(from).map_err(failed("read", from))?;
    let mut target = new_file(to).map_err(failed("make", to))?;
    pass(&mut source, |piece| target.write_all(piece)).map_err(failed("copy", from))
}

/// The size of a file in bytes, and its SHA-256.
fn measure(path: &Path) -> Result<(u64, String), FileError> {
    let mut file = File::open(path).map_err(failed("read", path))?;
    pass(&mut file, |_| Ok(())).map_err(failed("read", path))
}

fn pass(from: &mut File, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(u64, String)> {
    let (mut piece, mut digest, mut bytes) = (vec![0; PIECE_BYTES], Sha256Stream::default(), 0);
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok((bytes, digest.hex()));
        }
        digest.add(&piece[..read]);
        to(&piece[..read])?;
        bytes += read as u64;
    }
}

/// Has all that was written to the file system of `dir` be on disk.
fn sync(dir: &Path) -> Result<(), FileError> {
    let opened = File::open(dir).map_err(failed("open", dir))?;
    rustix::fs::syncfs(opened).map_err(|error| failed("write to disk what is under", dir)(error.into()))
}

/// Whether there is nothing in `dir`; one that is not there is empty.
fn is_empty(dir: &Path) -> Result<bool, FileError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(failed("look into", dir)(error)),
    }
}

fn make_dir(dir: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new().recursive(true).mode(super::data_dir::DIR_MODE).create(dir);
    made.map_err(failed("make the directory", dir))
}

/// Makes the directory of `file`, which lies in `root`, where it is missing.
fn make_shelf(root: &Path, file: &Path) -> Result<(), FileError> {
    make_dir(file.parent().unwrap_or(root))
}
