//! How much room the data directory has left.

use std::{io, path::PathBuf};

/// Tells the free space; production asks the file system.
pub trait FreeSpace: Send + Sync + 'static {
    /// Bytes that an unprivileged process can still write.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// The file system that a directory is on.
pub struct FileSystemOf(pub PathBuf);

impl FreeSpace for FileSystemOf {
    fn free_bytes(&self) -> io::Result<u64> {
        let told = rustix::fs::statvfs(&self.0)?;
        Ok(told.f_bavail.saturating_mul(told.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_tells_and_a_missing_one_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(FileSystemOf(dir.path().into()).free_bytes().expect("told") > 0);
        assert!(FileSystemOf(dir.path().join("none")).free_bytes().is_err());
    }
}
