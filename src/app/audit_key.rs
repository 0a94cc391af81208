//! Where the key of the audit record is: beside the database, or where the settings say, with a link to it.
//!
//! Why a link: every process and command of a data directory finds the key by it, also those that read no settings.

use std::{fs, io, os::unix::fs::symlink, path::Path};

use super::data_dir::DataDir;

/// Why the key is not where the settings say.
#[derive(Debug, thiserror::Error)]
pub enum AuditKeyError {
    /// There is another key already.
    #[error(
        "audit.key_file names {named}, and the audit record of this data directory is chained with the key in {there}; move that file to {named}, or take the setting out"
    )]
    Another {
        /// What the settings say.
        named: String,
        /// Where the key is.
        there: String,
    },
    /// The link could not be made.
    #[error("could not make the link {link} to the key of the audit record")]
    Link {
        /// The link.
        link: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

/// Has the data directory's key be the file that the settings name, if they name one. Only the keeper does this.
pub(super) fn settle(dir: &DataDir, named: Option<&Path>) -> Result<(), AuditKeyError> {
    let Some(named) = named else { return Ok(()) };
    let link = dir.audit_key();
    let failed = |source| AuditKeyError::Link { link: link.display().to_string(), source };
    let another = |there: &Path| AuditKeyError::Another {
        named: named.display().to_string(),
        there: there.display().to_string(),
    };
    match fs::read_link(&link) {
        Ok(there) if there == named => Ok(()),
        Ok(there) => Err(another(&there)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => symlink(named, &link).map_err(failed),
        // Not a link: a key of its own. Moved to where the settings say, it is found there from then on.
        Err(_) => Err(another(&link)),
    }
}
