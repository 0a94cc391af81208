//! The key of the audit record's chain: a file beside the database, or one elsewhere that it links to.
//!
//! Why a file: whoever may write the database must not thereby be able to write history. Put on another user's side by
//! `audit.key_file`, it is out of reach of whoever can only write the data directory.

use std::{
    fs::{self, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use crate::{ids::Ids, signing::chain::ChainKey};

/// Its owner's alone.
const FILE_MODE: u32 = 0o600;

/// The key in `file`, made now if there is none. Of two processes that make it at once, both get the one that was first.
pub(in crate::store::bell) fn audit_key(file: &Path, ids: &Ids) -> io::Result<ChainKey> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(file, ids)?,
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let text = fs::read_to_string(file)?;
    ChainKey::new(&text).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "{} holds no key: put the right file back, or remove it, and a new key begins a new chain",
                file.display()
            ),
        )
    })
}

fn make(file: &Path, ids: &Ids) -> io::Result<()> {
    // Where it is a link, the file that it names is made.
    let target = fs::read_link(file).unwrap_or_else(|_| file.to_owned());
    let directory = target.parent().unwrap_or(Path::new("."));
    let mut fresh = tempfile::Builder::new().permissions(Permissions::from_mode(FILE_MODE)).tempfile_in(directory)?;
    fresh.write_all(format!("{}\n", ids.secret("")).as_bytes())?;
    fresh.as_file().sync_all()?;
    match fresh.persist_noclobber(&target) {
        Err(lost) if lost.error.kind() != io::ErrorKind::AlreadyExists => Err(lost.error),
        _ => Ok(()),
    }
}
