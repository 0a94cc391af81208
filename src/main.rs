//! The `mailbell` binary: reads the command line, runs it, and tells what went wrong in one chain of sentences.

use std::process::ExitCode;

fn main() -> ExitCode {
    mailbell::cli::main()
}
