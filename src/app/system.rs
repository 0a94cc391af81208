//! The real clock and the real chance: the only place that asks the operating system for either.

use std::{future::Future, pin::Pin, time::Duration};

use rand::{TryRng as _, rngs::SysRng};
use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};

use crate::{
    domain::clock::{BootTime, Clock, UnixMillis},
    ids::Entropy,
};

/// What a process asks of the operating system before anything else: that the files it makes are its owner's alone, and as
/// many file descriptors as it may have. Many systems begin with 1,024 of them, which a few thousand connections exceed.
pub fn settle_in() {
    umask(Mode::RWXG | Mode::RWXO);
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where the system refuses, what there is has to do; connections beyond it wait.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Where Linux names the current boot.
#[cfg(target_os = "linux")]
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// The machine's clocks.
pub struct SystemClock {
    boot_id: String,
}

impl SystemClock {
    /// The clocks of the current boot.
    pub fn new() -> Self {
        Self { boot_id: boot_id() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(target_os = "linux")]
fn boot_id() -> String {
    // A kernel without the file is one in a sandbox; there a lease then outlives a restart until its deadline.
    std::fs::read_to_string(BOOT_ID_FILE).map_or_else(|_| BootTime::UNKNOWN.to_owned(), |id| id.trim().to_owned())
}

#[cfg(not(target_os = "linux"))]
fn boot_id() -> String {
    // No name for the boot here: a lease then outlives a restart of the machine until its deadline, which is safe.
    BootTime::UNKNOWN.to_owned()
}

#[cfg(target_os = "linux")]
const BOOT_CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const BOOT_CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is handed")]
        let now = jiff::Timestamp::now();
        UnixMillis(now.as_millisecond())
    }

    fn boot_time(&self) -> BootTime {
        BootTime { boot_id: self.boot_id.clone(), millis: self.boot_millis() }
    }

    fn boot_millis(&self) -> i64 {
        let since = rustix::time::clock_gettime(BOOT_CLOCK);
        since.tv_sec * 1000 + since.tv_nsec / 1_000_000
    }

    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// The operating system's chance.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // Without chance every id and token could be guessed: no program should go on.
        SysRng.try_fill_bytes(bytes).expect("the operating system gives random bytes");
    }
}
