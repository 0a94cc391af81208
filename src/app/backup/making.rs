//! Making a backup, while the house runs and writes.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    AUDIT_KEY, BELL, BLOBS, FORMAT, FileError, MAIL, MANIFEST, Manifest, Progress, TOKENS, Watcher, copy, failed,
    is_empty, make_dir, make_shelf,
    manifest::{Listed, RawMail},
    measure, new_file, sync,
};
use crate::{
    app::{
        bell_side::{BellSideError, open_bell_store},
        data_dir::DataDir,
        tokens,
    },
    domain::clock::Clock,
    ids::Ids,
    mail::{
        blobs,
        space::{FileSystemOf, FreeSpace as _},
    },
    store::{
        StoreError,
        audit::{AuditLog as _, Entry},
        bell, carried, mail,
        snapshot::{self, Subject},
    },
};

/// What is to be backed up, and where to.
#[derive(Debug)]
pub struct Backup<'a> {
    /// The data directory.
    pub dir: &'a DataDir,
    /// A directory that is empty or not there yet.
    pub to: &'a Path,
    /// Whether secrets go with it.
    pub with_secrets: bool,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum NotBackedUp {
    /// There is nothing to back up.
    #[error("there is no bell.db in {}; name the data directory with --data-dir", .0.display())]
    Nothing(PathBuf),
    /// There is something at the place already.
    #[error("{} is not empty; a backup goes into a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// The disk would be full.
    #[error("a backup takes about {needed} MiB and {} has {free} MiB free; make room, or name another place", .at.display())]
    NoRoom {
        /// Where.
        at: PathBuf,
        /// What is needed, in MiB.
        needed: u64,
        /// What is there, in MiB.
        free: u64,
    },
    /// A newer mailbell has been here.
    #[error(
        "{database} has schema {found} and this version knows {known}; make the backup with the version that wrote it"
    )]
    Newer {
        /// The database.
        database: &'static str,
        /// Its schema.
        found: i64,
        /// The newest known.
        known: i64,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A database could not be read.
    #[error("could not copy the databases")]
    Store(#[from] StoreError),
    /// The audit record could not be told of it.
    #[error("could not put the backup on record")]
    Record(#[from] BellSideError),
}

impl Backup<'_> {
    /// Makes it; what is there when it fails has no manifest, and is no backup.
    pub async fn make(&self, clock: &dyn Clock, ids: &Ids, watcher: Watcher<'_>) -> Result<Manifest, NotBackedUp> {
        let Self { dir, to, with_secrets } = *self;
        if !dir.bell_db().exists() {
            return Err(NotBackedUp::Nothing(dir.root().to_owned()));
        }
        let has_mail = dir.mail_db().exists();
        let bell_schema = carried::schema(&dir.bell_db()).await?;
        newer(BELL, bell_schema, bell::carried::schema_known())?;
        let mail_schema = if has_mail { Some(carried::schema(&dir.mail_db()).await?) } else { None };
        newer(MAIL, mail_schema.unwrap_or(0), mail::carried::schema_known())?;
        if !is_empty(to)? {
            return Err(NotBackedUp::NotEmpty(to.to_owned()));
        }
        make_dir(to)?;
        room(dir, to)?;
        // A backup made before an upgrade leaves the schema as it is, and so it can tell nothing to the record.
        if bell_schema == bell::carried::schema_known() {
            let about = json!({ "with_secrets": with_secrets });
            let store = open_bell_store(dir, ids).await?;
            store.record(Entry::Operator { command: "backup", about }, clock.now()).await?;
        }

        let at = clock.now();
        let bell_copy = to.join(BELL);
        let withheld = |tables: &'static [&'static str]| if with_secrets { &[] } else { tables };
        let mut subjects = Vec::new();
        if has_mail {
            let withheld = withheld(mail::carried::SECRETS);
            subjects.push(Subject { from: dir.mail_db(), to: to.join(MAIL), withheld });
        }
        let of_bell = withheld(bell::carried::SECRETS);
        subjects.push(Subject { from: dir.bell_db(), to: bell_copy.clone(), withheld: of_bell });
        for subject in &subjects {
            new_file(&subject.to).map_err(failed("make", &subject.to))?;
        }
        snapshot::together(subjects, |copied| watcher(Progress::of_tables(copied))).await?;

        let mut raw_mail = RawMail::default();
        let mut messages = 0;
        if has_mail {
            raw_mail = self.copy_raw_mail(watcher).await?;
            messages = mail::carried::messages(&to.join(MAIL)).await?;
        }
        let mut files = vec![listed(to, BELL)?];
        if has_mail {
            files.push(listed(to, MAIL)?);
        }
        if with_secrets {
            self.copy_secrets(&mut files)?;
        }
        let facts = bell::carried::facts(&bell_copy).await?;
        let manifest = Manifest {
            format: FORMAT,
            at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            log: facts.log.as_str().to_owned(),
            head: facts.head,
            events: facts.events,
            audit_head: facts.audit.map(|head| head.to_string()),
            bell_schema: facts.schema,
            mail_schema,
            messages,
            raw_mail,
            with_secrets,
            files,
        };
        // All else is on disk before there is a manifest that vouches for it.
        sync(to)?;
        let path = to.join(MANIFEST);
        let text = serde_json::to_string_pretty(&manifest).expect("texts and numbers only");
        let written =
            new_file(&path).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.and_then(|()| File::open(to)?.sync_all()).map_err(failed("write", &path))?;
        Ok(manifest)
    }

    /// Copies the raw mail that the copy's messages have. What retention removed in the meantime, the copy forgets too.
    async fn copy_raw_mail(&self, watcher: Watcher<'_>) -> Result<RawMail, NotBackedUp> {
        let (from, to, copied) = (self.dir.blobs(), self.to.join(BLOBS), self.to.join(MAIL));
        let names = mail::carried::raw_mail(&copied).await?;
        let mut raw = RawMail::default();
        let mut gone = Vec::new();
        for (at, name) in names.iter().enumerate() {
            watcher(Progress::of_mail(at, names.len()));
            match put(&from, &to, name) {
                Ok(bytes) => {
                    raw.files += 1;
                    raw.bytes += bytes;
                }
                Err(lost) => {
                    if lost.is_missing() && !mail::carried::has_raw(&self.dir.mail_db(), name).await? {
                        gone.push(name.clone());
                    } else if let Lost::Failed(error) = lost {
                        return Err(error.into());
                    } else {
                        raw.lost.push(name.clone());
                    }
                }
            }
        }
        if !gone.is_empty() {
            mail::carried::without(&copied, &gone).await?;
        }
        watcher(Progress::of_mail(names.len(), names.len()));
        Ok(raw)
    }

    fn copy_secrets(&self, files: &mut Vec<Listed>) -> Result<(), NotBackedUp> {
        let Self { dir, to, .. } = *self;
        let names = [tokens::MCP, tokens::API, tokens::PROOF].map(|name| format!("{TOKENS}/{name}"));
        for name in names.iter().map(String::as_str).chain([AUDIT_KEY]) {
            let (from, target) = (dir.root().join(name), to.join(name));
            // Where it is a link, what it leads to.
            if from.exists() {
                make_shelf(to, &target)?;
                copy(&from, &target)?;
                files.push(listed(to, name)?);
            }
        }
        Ok(())
    }
}

/// Why a raw message is not in the backup.
enum Lost {
    /// There is no such file.
    Missing,
    /// It is not what its name says.
    Damaged,
    /// It could not be copied.
    Failed(FileError),
}

impl Lost {
    fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

/// Copies one raw message; answers with its bytes.
fn put(from: &Path, to: &Path, name: &str) -> Result<u64, Lost> {
    let (Ok(from), Ok(target)) = (blobs::path(from, name), blobs::path(to, name)) else { return Err(Lost::Damaged) };
    if !from.exists() {
        return Err(Lost::Missing);
    }
    make_shelf(to, &target).map_err(Lost::Failed)?;
    let (bytes, digest) = match copy(&from, &target) {
        // Retention may take it under our hands.
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Err(Lost::Missing),
        copied => copied.map_err(Lost::Failed)?,
    };
    if digest == name {
        return Ok(bytes);
    }
    fs::remove_file(&target).map_err(|error| Lost::Failed(failed("remove", &target)(error)))?;
    Err(Lost::Damaged)
}

fn listed(root: &Path, name: &str) -> Result<Listed, FileError> {
    let (bytes, sha256) = measure(&root.join(name))?;
    Ok(Listed { name: name.to_owned(), bytes, sha256 })
}

fn newer(database: &'static str, found: i64, known: i64) -> Result<(), NotBackedUp> {
    if found > known { Err(NotBackedUp::Newer { database, found, known }) } else { Ok(()) }
}

/// Fails where the file system of `to` has not the room, which a disk that ran full would tell later.
fn room(dir: &DataDir, to: &Path) -> Result<(), NotBackedUp> {
    let size = |path: PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    let databases = size(dir.bell_db()) + size(dir.mail_db());
    let shelves = fs::read_dir(dir.blobs()).into_iter().flatten().flatten();
    let files = shelves.flat_map(|shelf| fs::read_dir(shelf.path()).into_iter().flatten().flatten());
    let mail: u64 = files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
    let needed = databases + mail;
    match FileSystemOf(to.to_owned()).free_bytes() {
        Ok(free) if free < needed => {
            Err(NotBackedUp::NoRoom { at: to.to_owned(), needed: needed >> 20, free: free >> 20 })
        }
        // A file system that does not tell is found full when it is.
        _ => Ok(()),
    }
}
