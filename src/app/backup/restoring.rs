//! A data directory out of a backup: another log than the one it was, in which nothing goes out until the operator says so.

use std::{
    fs,
    io::{BufWriter, Write as _},
    path::{Component, Path, PathBuf},
};

use tokio_util::sync::CancellationToken;

use super::{
    BELL, BLOBS, FORMAT, FileError, MAIL, MANIFEST, Manifest, Progress, Watcher, copy, failed, is_empty, make_dir,
    make_shelf, new_file, sync,
};
use crate::{
    app::data_dir::{DataDir, DataDirError},
    domain::clock::Clock,
    ids::Ids,
    mail::blobs,
    store::{
        StoreError,
        audit::{AuditLog as _, Fault, Verdict},
        bell,
        bell::{
            BellStore,
            carried::{Anew, Facts, RecordError},
        },
        mail,
        sqlite::{OpenError, Schema},
    },
};

/// What a database is called until it is whole.
const UNFINISHED: &str = "restoring";
/// Where the audit record goes that cannot go on.
const RECORD_BEFORE: &str = "audit-before-restore.jsonl";
/// Nobody's manifest is larger: ours names a few files, and raw mail that was lost.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// What is to be restored, and where to.
#[derive(Debug)]
pub struct Restoring<'a> {
    /// The backup.
    pub from: &'a Path,
    /// The data directory: empty, or not there yet.
    pub to: &'a Path,
    /// The key of the audit record, where the backup does not have it.
    pub audit_key: Option<&'a Path>,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The backup.
    pub manifest: Manifest,
    /// The id of the log that it is now.
    pub log: String,
    /// Webhooks that were given a new secret.
    pub new_secrets: usize,
    /// Whether the audit record goes on, because its key is there, or begins anew.
    pub record_goes_on: bool,
    /// Where the audit record from before is, if it does not go on.
    pub record_before: Option<PathBuf>,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum NotRestored {
    /// There is no backup.
    #[error("{} is no whole backup: there is no {MANIFEST} in it, which `mailbell backup` writes last", .0.display())]
    NoManifest(PathBuf),
    /// The manifest is none.
    #[error("{MANIFEST} in {} cannot be read", .from.display())]
    Manifest {
        /// The backup.
        from: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// It was made by a newer mailbell.
    #[error(
        "this backup was made by mailbell {version}, with {what} {found}; this version knows {known}: restore it with that version, or one later than it"
    )]
    Newer {
        /// The version.
        version: String,
        /// What is newer.
        what: &'static str,
        /// In the backup.
        found: i64,
        /// Here.
        known: i64,
    },
    /// There is something at the place already.
    #[error("{} is not empty; restore into a new directory with --data-dir, and put that in its place when you have looked at it", .0.display())]
    NotEmpty(PathBuf),
    /// A file is not what was backed up.
    #[error("{name} in the backup is not what was backed up ({why}); take another backup")]
    Damaged {
        /// Which.
        name: String,
        /// How that shows.
        why: &'static str,
    },
    /// The audit record is not what was backed up.
    #[error(
        "the audit record does not hold from entry {id} on: {why}; give the right key with --audit-key, or take another backup"
    )]
    Record {
        /// The first place that shows it.
        id: i64,
        /// What is wrong there.
        why: Fault,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A database could not be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A database could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit record from before could not be kept.
    #[error(transparent)]
    KeepRecord(#[from] RecordError),
}

impl Restoring<'_> {
    /// Restores it. Where that fails, the directory is as empty as it was.
    pub async fn restore(&self, clock: &dyn Clock, ids: &Ids, watcher: Watcher<'_>) -> Result<Restored, NotRestored> {
        let manifest = self.manifest()?;
        if !is_empty(self.to)? {
            let dir = DataDir::open(Some(self.to.to_owned()))?;
            if self.to.join("keeper.lock").exists() && dir.try_keep()?.is_none() {
                let pid = dir.published()?.map(|published| published.addresses.pid);
                return Err(DataDirError::Kept { path: self.to.to_owned(), pid }.into());
            }
            return Err(NotRestored::NotEmpty(self.to.to_owned()));
        }
        let dir = DataDir::open(Some(self.to.to_owned()))?;
        let Some(lock) = dir.try_keep()? else {
            return Err(DataDirError::Kept { path: self.to.to_owned(), pid: None }.into());
        };
        let restored = self.fill(&dir, manifest, clock, ids, watcher).await;
        if restored.is_err() {
            // It was empty, and it is ours.
            clear(self.to);
        }
        drop(lock);
        restored
    }

    fn manifest(&self) -> Result<Manifest, NotRestored> {
        let path = self.from.join(MANIFEST);
        let size = fs::metadata(&path).map_err(|_| NotRestored::NoManifest(self.from.to_owned()))?.len();
        if size > MANIFEST_BYTES_MAX {
            return Err(NotRestored::Damaged { name: MANIFEST.to_owned(), why: "it is far too large" });
        }
        let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
        let unreadable = |source| NotRestored::Manifest { from: self.from.to_owned(), source };
        // Only the format is known of a newer one.
        let all: serde_json::Value = serde_json::from_str(&text).map_err(unreadable)?;
        let version = all["version"].as_str().unwrap_or("?").to_owned();
        let newer = |what, found, known| {
            if found > known {
                Err(NotRestored::Newer { version: version.clone(), what, found, known })
            } else {
                Ok(())
            }
        };
        newer("the format", all["format"].as_i64().unwrap_or(0), FORMAT.into())?;
        let manifest: Manifest = serde_json::from_value(all).map_err(unreadable)?;
        newer("the schema of bell.db", manifest.bell_schema, bell::carried::schema_known())?;
        newer("the schema of mail.db", manifest.mail_schema.unwrap_or(0), mail::carried::schema_known())?;
        Ok(manifest)
    }

    async fn fill(
        &self,
        dir: &DataDir,
        manifest: Manifest,
        clock: &dyn Clock,
        ids: &Ids,
        watcher: Watcher<'_>,
    ) -> Result<Restored, NotRestored> {
        let unfinished = |name: &str| dir.root().join(format!("{name}.{UNFINISHED}"));
        for listed in &manifest.files {
            let name = plain(&listed.name)?;
            let database = name == BELL || name == MAIL;
            let target = if database { unfinished(name) } else { dir.root().join(name) };
            make_shelf(dir.root(), &target)?;
            let (bytes, digest) = copy(&self.from.join(name), &target)?;
            if bytes != listed.bytes || digest != listed.sha256 {
                return Err(NotRestored::Damaged { name: name.to_owned(), why: "its digest is another" });
            }
        }
        let (bell_db, mail_db) = (unfinished(BELL), unfinished(MAIL));
        if !bell_db.exists() {
            return Err(NotRestored::Damaged { name: BELL.to_owned(), why: "it is missing" });
        }
        let mut new_secrets = 0;
        if mail_db.exists() {
            let names = mail::carried::raw_mail(&mail_db).await?;
            self.copy_raw_mail(dir, &manifest, &names, watcher)?;
            new_secrets = mail::carried::begin_anew(&mail_db, ids, clock.now()).await?;
        }

        let facts = bell::carried::facts(&bell_db).await?;
        let key_file = dir.audit_key();
        if let Some(given) = self.audit_key.filter(|_| !key_file.exists()) {
            copy(given, &key_file)?;
        }
        let record_goes_on = key_file.exists() || facts.audit.as_ref().is_none_or(|head| head.id == 0);
        let anew = Anew { key_file: &key_file, record_goes_on, facts: &facts, now: clock.now() };
        let record_before = if record_goes_on { None } else { Some(keep_record(dir, &bell_db).await?) };
        let log = bell::carried::begin_anew(&bell_db, anew, ids).await?;

        // The log last: a directory without it is one that nobody has used.
        for (from, to) in [(mail_db, dir.mail_db()), (bell_db, dir.bell_db())] {
            if from.exists() {
                fs::rename(&from, &to).map_err(failed("put in place", &to))?;
            }
        }
        sync(dir.root())?;
        if record_goes_on {
            check_record(dir, &facts, ids).await?;
        }
        let log = log.as_str().to_owned();
        Ok(Restored { manifest, log, new_secrets, record_goes_on, record_before })
    }

    fn copy_raw_mail(
        &self,
        dir: &DataDir,
        manifest: &Manifest,
        names: &[String],
        watcher: Watcher<'_>,
    ) -> Result<(), NotRestored> {
        let (from, to) = (self.from.join(BLOBS), dir.blobs());
        make_dir(&to)?;
        for (at, name) in names.iter().enumerate() {
            watcher(Progress::of_mail(at, names.len()));
            let damaged = |why| NotRestored::Damaged { name: format!("{BLOBS}/{name}"), why };
            let (Ok(source), Ok(target)) = (blobs::path(&from, name), blobs::path(&to, name)) else {
                return Err(damaged("its name is no digest"));
            };
            if manifest.raw_mail.lost.contains(name) {
                continue;
            }
            if !source.exists() {
                return Err(damaged("it is missing"));
            }
            make_shelf(&to, &target)?;
            if copy(&source, &target)?.1 != *name {
                return Err(damaged("its digest is another"));
            }
        }
        watcher(Progress::of_mail(names.len(), names.len()));
        Ok(())
    }
}

/// Checks the restored record up to the backup's own head.
async fn check_record(dir: &DataDir, facts: &Facts, ids: &Ids) -> Result<(), NotRestored> {
    let store = BellStore::open(&dir.bell_db(), Schema::Expect, ids, CancellationToken::new()).await?;
    match store.verify(facts.audit.as_ref()).await? {
        Verdict::Whole { .. } => Ok(()),
        Verdict::Broken { id, why } => Err(NotRestored::Record { id, why }),
    }
}

/// Writes the audit record out that cannot go on, as `mailbell audit export` does: whoever has its key can still check it.
async fn keep_record(dir: &DataDir, bell_db: &Path) -> Result<PathBuf, NotRestored> {
    let path = dir.root().join(RECORD_BEFORE);
    let mut file = BufWriter::new(new_file(&path).map_err(failed("make", &path))?);
    bell::carried::record(bell_db, |line| writeln!(file, "{line}")).await?;
    file.into_inner().map_err(|error| failed("write", &path)(error.into_error()))?;
    Ok(path)
}

/// A name from a manifest, which must not lead out of the directory.
fn plain(name: &str) -> Result<&str, NotRestored> {
    let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if inside && !name.is_empty() {
        return Ok(name);
    }
    Err(NotRestored::Damaged { name: name.to_owned(), why: "its name leads out of the directory" })
}

/// Empties a directory that was empty; what cannot be removed is told by the next try.
fn clear(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}
