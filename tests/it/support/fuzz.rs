//! An engine that makes hostile input out of good input, on a stable toolchain.
//!
//! It takes samples apart and puts them together wrongly: pieces doubled, dropped, swapped between samples, bytes turned,
//! words of the format put where they do not belong. The same seed makes the same inputs. A short run is part of every
//! test run; a long one is asked for: `FUZZ_SECS=3600 cargo test --test it fuzz_`, and each target then takes so long;
//! `FUZZ_SAMPLES=FOLDER` adds a folder of real mail to the samples.
//! The input at work is kept in `target/fuzz/`, for the case that it ends the process.

use std::{
    env, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

/// Inputs of a short run.
const SHORT_RUN: u64 = 400;
/// No input is longer, in bytes: the limits for large ones have stories of their own.
const INPUT_BYTES_MAX: usize = 64 * 1024;
/// No input may take more time of the processor: what takes so long at 64 KiB would hold one for minutes at 25 MB. Not
/// time by the clock on the wall, which runs for whatever else the machine does.
const TIME_MAX: Duration = Duration::from_secs(5);

/// The files in the folder that `FUZZ_SAMPLES` names: real mail makes better mutants.
#[expect(clippy::disallowed_methods, reason = "a test's own setting, not the product's")]
pub fn more_samples() -> Vec<Vec<u8>> {
    let Ok(folder) = env::var("FUZZ_SAMPLES") else { return Vec::new() };
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.map(|path| fs::read(path).unwrap()).collect()
}

/// Processor time of this thread so far.
fn time_used() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(used).expect("no processor time is negative")
}

/// Makes inputs from samples.
pub struct Fuzz {
    name: &'static str,
    samples: Vec<Vec<u8>>,
    words: &'static [&'static str],
    random: StdRng,
    made: u64,
    until: Option<Instant>,
    kept: PathBuf,
    began: Duration,
}

impl Fuzz {
    /// A target of that name. `words` are those that mean something to it.
    #[expect(clippy::disallowed_methods, reason = "a test's own setting, not the product's")]
    pub fn new(name: &'static str, samples: Vec<Vec<u8>>, words: &'static [&'static str]) -> Self {
        let secs = env::var("FUZZ_SECS").ok().map(|secs| secs.parse().expect("FUZZ_SECS is a number of seconds"));
        // Another seed at each long run; the same at each short one.
        let seed = if secs.is_some() { rand::rng().next_u64() } else { 7 };
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
        fs::create_dir_all(&directory).unwrap();
        Self {
            name,
            samples,
            words,
            random: StdRng::seed_from_u64(seed),
            made: 0,
            until: secs.map(|secs| Instant::now() + Duration::from_secs(secs)),
            kept: directory.join(name),
            began: time_used(),
        }
    }

    /// The next input, until the run is over. It also looks at how long the one before took.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        let took = time_used().saturating_sub(self.began);
        assert!(self.made == 0 || took < TIME_MAX, "{}: too slow; see {}", self.name, self.kept.display());
        let over = self.until.map_or(self.made >= SHORT_RUN, |until| Instant::now() > until);
        if over {
            return None;
        }
        self.made += 1;
        let input = self.mutant();
        if self.until.is_some() {
            fs::write(&self.kept, &input).unwrap();
        }
        self.began = time_used();
        Some(input)
    }

    fn mutant(&mut self) -> Vec<u8> {
        let mut input = self.samples.choose(&mut self.random).expect("samples").clone();
        for _ in 0..self.random.random_range(1..12) {
            self.mutate(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.piece(input);
        match self.random.random_range(0..8) {
            0 => drop(input.drain(from..to)),
            1 => {
                let piece = input[from..to].to_vec();
                let times = self.random.random_range(1..20);
                input.splice(to..to, piece.repeat(times));
            }
            2 => {
                let other = self.samples.choose(&mut self.random).expect("samples").clone();
                let (begin, end) = self.piece(&other);
                input.splice(from..to, other[begin..end].iter().copied());
            }
            3 => {
                if let Some(byte) = input.get_mut(from) {
                    *byte = self.random.random();
                }
            }
            4 => {
                let odd =
                    [&b"\r\n"[..], b"\n", b"\r", b"\0", b"\r\n\r\n", b" ", b"\t", b"\xff\xfe", b"\"", b"<", b":", b";"];
                input.splice(from..from, odd.choose(&mut self.random).expect("some").iter().copied());
            }
            5 => {
                let number =
                    ["0", "-1", "4294967296", "18446744073709551616", "999999999", "5.1.351", "%00", "=?utf-8?q?"];
                let number = number.choose(&mut self.random).expect("some");
                input.splice(from..from, number.bytes());
            }
            _ => {
                let word = self.words.choose(&mut self.random).expect("words");
                input.splice(from..to.min(from + 1), word.bytes());
            }
        }
    }

    /// A place in `input`: mostly whole lines, else anything up to 200 bytes.
    fn piece(&mut self, input: &[u8]) -> (usize, usize) {
        let at = self.random.random_range(0..=input.len());
        if self.random.random_bool(0.6) {
            let begin = input[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |found| found + 1);
            let end = input[at..].iter().position(|byte| *byte == b'\n').map_or(input.len(), |found| at + found + 1);
            (begin, end)
        } else {
            (at, (at + self.random.random_range(0..200)).min(input.len()))
        }
    }
}
