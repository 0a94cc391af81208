//! The `mailbell` binary: reads the command line, runs it, and tells what went wrong in one chain of sentences.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// What one thread makes for another to drop is most of what this program allocates: requests, rows, answers. The C library's
/// allocator has threads wait for each other there.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    mailbell::cli::main()
}
