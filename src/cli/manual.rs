//! What is made of the command line itself: completions and manual pages.

use std::{fs, io::Write as _, path::PathBuf};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Failure};

const NAME: &str = "mailbell";

/// `mailbell completions`
#[derive(Args)]
pub(super) struct Completions {
    /// For which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), NAME, &mut script);
        Ok(std::io::stdout().write_all(&script)?)
    }
}

/// `mailbell man`
#[derive(Args)]
pub(super) struct Manual {
    /// Write a page for each command into this directory, such as /usr/share/man/man1, instead of the first one to stdout
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

impl Manual {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let command = Cli::command();
        let Some(to) = &self.to else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            return Ok(std::io::stdout().write_all(&page)?);
        };
        fs::create_dir_all(to).map_err(|error| format!("could not make the directory {}: {error}", to.display()))?;
        Ok(clap_mangen::generate_to(command, to)?)
    }
}
