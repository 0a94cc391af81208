//! The `mailbell` binary: reads the command line, runs it, and tells what went wrong in one chain of sentences.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Under load, glibc's allocator spends a tenth of the time on giving memory back and taking it again.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    mailbell::cli::main()
}
