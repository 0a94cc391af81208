//! How a command ends: one table for the code and for the documentation.

use std::{error::Error, fmt::Write as _, process::ExitCode};

use crate::{config::load::ConfigError, telemetry::NotAFilter};

/// How a command can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// It was not understood.
    Misspelt,
    /// It is done, and something wants to be looked at.
    Uneasy,
}

impl Ending {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Done, Self::Failed, Self::Misspelt, Self::Uneasy];

    /// What the process exits with.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Misspelt => 2,
            Self::Uneasy => 3,
        }
    }

    /// When it ends so, as a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => {
                "Done. A reader of stdout that went away early, such as `head`, has enough and is no failure."
            }
            Self::Failed => {
                "It failed; the reason and what to do are on stderr. `doctor` ends so where a check failed, `audit verify` \
                 where the record does not hold."
            }
            Self::Misspelt => "The command line or the settings are wrong; nothing was done.",
            Self::Uneasy => {
                "Done, and something wants to be looked at: `doctor` has warnings, or `backup` found raw mail missing."
            }
        }
    }

    /// How a command ends that fails so.
    pub(super) fn of(failure: &(dyn Error + 'static)) -> Self {
        if failure.is::<ConfigError>() || failure.is::<NotAFilter>() {
            Self::Misspelt
        } else if failure.is::<Uneasy>() {
            Self::Uneasy
        } else {
            Self::Failed
        }
    }
}

/// The table as a page.
pub(super) fn page() -> String {
    let mut page = String::from(
        "# Exit codes\n\nMade by `mailbell reference exit-codes`; a test holds it to the code. They are those of every command.\n\n| code | |\n|---|---|\n",
    );
    for ending in Ending::ALL {
        let _ = writeln!(page, "| {} | {} |", ending.code(), ending.meaning());
    }
    page
}

/// The table as it stands below the help and on the manual page.
pub(super) fn help() -> String {
    let mut help = String::from("Exit codes:\n");
    for ending in Ending::ALL {
        let _ = writeln!(help, "  {}  {}", ending.code(), ending.meaning());
    }
    help
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending.code())
    }
}

/// What wants to be looked at, after all was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Uneasy(pub(super) String);
