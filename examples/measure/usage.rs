//! What a process uses, as `/proc` tells it.

use std::{fs, path::PathBuf, time::Duration};

/// What the kernel counts CPU time in towards programs: hundredths of a second on every machine that Linux runs on.
const TICKS_PER_SEC: f64 = 100.0;

/// What a process has used so far, and holds now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Its CPU time, in user space and in the kernel.
    pub(crate) cpu: Duration,
    /// Its resident memory, in bytes.
    pub(crate) rss_bytes: u64,
    /// Its open file descriptors.
    pub(crate) fds: usize,
}

/// What the process `pid` has used; nothing where it is gone.
pub(crate) fn of(pid: u32) -> Usage {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let stat = fs::read_to_string(proc.join("stat")).unwrap_or_default();
    // The name is in parentheses, and may hold any; what follows it are numbers, from the third field on.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    let status = fs::read_to_string(proc.join("status")).unwrap_or_default();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let rss_kib: u64 = rss.and_then(|rss| rss.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    Usage {
        cpu: Duration::from_secs_f64((ticks(14) + ticks(15)) / TICKS_PER_SEC),
        rss_bytes: rss_kib << 10,
        fds: fs::read_dir(proc.join("fd")).map_or(0, Iterator::count),
    }
}

/// The CPU time of `pids` together.
pub(crate) fn cpu_of(pids: &[u32]) -> Duration {
    pids.iter().map(|pid| of(*pid).cpu).sum()
}
