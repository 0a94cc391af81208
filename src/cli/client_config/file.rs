//! Puts a block into a client's file and changes nothing else in it: comments, order and other servers stay as they are.
//!
//! The file is replaced in one step, and kept beside itself as it was before.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use jsonc_parser::{
    ParseOptions,
    cst::{CstInputValue, CstRootNode},
};
use serde_json::Value;
use toml_edit::{DocumentMut, Item, Table};

use super::{
    Failure,
    block::{Block, NAME, Syntax},
};

/// A client's file is some kilobytes; Claude Code's own, with its history, some megabytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Copies of earlier states that are kept before somebody has to clear them away.
const BACKUPS_MAX: u32 = 100;

/// What became of the file.
pub(super) enum Written {
    /// It said all of that before.
    Same,
    /// There was none.
    New,
    /// It holds the block now; what it was before is there.
    Merged { backup: PathBuf },
}

/// Puts `block` into the file at `path`.
pub(super) fn merge(path: &Path, block: &Block, tells_a_token: bool) -> Result<Written, Failure> {
    let failed = |what: &'static str| {
        let path = path.display().to_string();
        move |error: io::Error| -> Failure { format!("could not {what} {path}: {error}; nothing was changed").into() }
    };
    // Many keep such files elsewhere and link to them: the link stays.
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => std::path::absolute(path)?,
        Err(error) => return Err(failed("find")(error)),
    };
    let dir = target.parent().ok_or("a client's file lies in a directory")?.to_owned();
    if tells_a_token && let Some(tree) = work_tree_of(&dir) {
        return Err(format!(
            "{} lies in the git work tree {}, from which the token would be pushed, so nothing was written; leave out \
             --token-stdin and set MAILBELL_TOKEN, or name a file elsewhere",
            path.display(),
            tree.display()
        )
        .into());
    }
    let before = match fs::metadata(&target) {
        Ok(known) if known.len() > FILE_BYTES_MAX => {
            return Err(format!("{} has more than 64 MiB, which no client's file has", path.display()).into());
        }
        Ok(known) => Some((fs::read_to_string(&target).map_err(failed("read"))?, known.permissions())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("look at")(error)),
    };
    let text = before.as_ref().map_or("", |(text, _)| text.as_str());
    let after = with(text, block).map_err(|why| format!("{}: {why}; nothing was changed", path.display()))?;
    if before.is_some() && after == text {
        return Ok(Written::Same);
    }
    fs::create_dir_all(&dir).map_err(failed("make the directory of"))?;
    let mut fresh = tempfile::NamedTempFile::new_in(&dir).map_err(failed("write beside"))?;
    fresh.write_all(after.as_bytes()).map_err(failed("write beside"))?;
    let written = match &before {
        None => Written::New,
        Some((text, permissions)) => {
            let backup = back_up(&target, text, permissions).map_err(failed("keep a copy of"))?;
            // A token makes it a secret, whatever it was.
            if !tells_a_token {
                fresh.as_file().set_permissions(permissions.clone()).map_err(failed("write beside"))?;
            }
            Written::Merged { backup }
        }
    };
    fresh.as_file().sync_all().map_err(failed("write beside"))?;
    fresh.persist(&target).map_err(|error| failed("replace")(error.error))?;
    Ok(written)
}

/// The work tree of git that `dir` lies in, or will once it is made.
fn work_tree_of(dir: &Path) -> Option<PathBuf> {
    // A directory that is not there yet may begin with links that are.
    let there = dir.ancestors().find_map(|above| fs::canonicalize(above).ok())?;
    // In a linked work tree and in a submodule `.git` is a file.
    there.ancestors().find(|above| above.join(".git").exists()).map(Path::to_owned)
}

/// Keeps `text` beside `target` under a name that is free.
fn back_up(target: &Path, text: &str, permissions: &fs::Permissions) -> io::Result<PathBuf> {
    for number in 1..=BACKUPS_MAX {
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".before-mailbell-{number}"));
        let backup = PathBuf::from(name);
        match fs::OpenOptions::new().create_new(true).write(true).open(&backup) {
            Ok(mut file) => {
                file.set_permissions(permissions.clone())?;
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                return Ok(backup);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there are 100 copies of it already; remove those you do not need"))
}

/// `text` with `block` in it; a sentence where it cannot be read, or something else stands in its place.
fn with(text: &str, block: &Block) -> Result<String, String> {
    if text.trim().is_empty() {
        return Ok(block.alone());
    }
    match block.syntax {
        Syntax::Json => json_with(text, block),
        Syntax::Toml => {
            let document =
                text.parse::<DocumentMut>().map_err(|error| format!("it is no TOML ({})", error.message()))?;
            Ok(toml_with(document, block)?.to_string())
        }
    }
}

/// JSON, with comments and commas as editors allow them.
fn json_with(text: &str, block: &Block) -> Result<String, String> {
    let root =
        CstRootNode::parse(text, &ParseOptions::default()).map_err(|error| format!("it is no JSON ({error})"))?;
    let whole = root.object_value().ok_or("it holds no JSON object")?;
    let servers = match whole.get(block.under) {
        None => whole.object_value_or_set(block.under),
        Some(property) => property.object_value().ok_or_else(|| format!("`{}` in it is no object", block.under))?,
    };
    let server = Value::Object(block.server.clone());
    match servers.get(NAME) {
        // What says the same in another layout stays as it is.
        Some(property) if property.to_serde_value().as_ref() == Some(&server) => {}
        Some(property) => property.set_value(input(&server)),
        None => {
            servers.append(NAME, input(&server));
        }
    }
    Ok(root.to_string())
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(flag) => CstInputValue::Bool(*flag),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(fields) => {
            CstInputValue::Object(fields.iter().map(|(name, value)| (name.clone(), input(value))).collect())
        }
    }
}

/// `document` with `block` in it.
pub(super) fn toml_with(mut document: DocumentMut, block: &Block) -> Result<DocumentMut, String> {
    let implicit = || {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    };
    let servers = document.entry(block.under).or_insert_with(implicit);
    let servers = servers.as_table_like_mut().ok_or_else(|| format!("`{}` in it is no table", block.under))?;
    let mut table = Table::new();
    for (name, value) in &block.server {
        table.insert(name, toml_edit::value(toml_value(value)));
    }
    servers.insert(NAME, Item::Table(table));
    Ok(document)
}

fn toml_value(value: &Value) -> toml_edit::Value {
    match value {
        Value::Array(items) => items.iter().map(toml_value).collect::<toml_edit::Array>().into(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name, toml_value(value))).collect::<toml_edit::InlineTable>().into()
        }
        Value::Bool(flag) => (*flag).into(),
        Value::String(text) => text.as_str().into(),
        // A block holds no others.
        Value::Null | Value::Number(_) => value.to_string().into(),
    }
}
