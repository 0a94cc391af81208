//! What the record must say, read from its export alone.

use std::collections::{BTreeMap, BTreeSet};

use ring::hmac;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// A line of the export.
#[derive(Deserialize)]
struct Line<'a> {
    id: i64,
    at: String,
    #[serde(borrow)]
    entry: &'a RawValue,
    mac: String,
}

/// Where a lease runs.
#[derive(Deserialize, Clone, PartialEq, Eq)]
struct Runs {
    boot_id: String,
    from_millis: i64,
    until_millis: i64,
}

/// A lease that somebody has, or had.
struct Lease {
    attempt: i64,
    runs: Runs,
}

/// How an event stands with a consumer.
#[derive(Default)]
struct Standing {
    lease: Option<Lease>,
    acked: bool,
}

/// What a record was found to hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its entries.
    pub(crate) entries: usize,
    /// Events that came into the log.
    pub(crate) events: u64,
    /// Events that each consumer has acked.
    pub(crate) acked: BTreeMap<String, u64>,
    /// Leases that were made.
    pub(crate) leases: usize,
    /// Leases that followed one that had run out.
    pub(crate) run_out: usize,
    /// What is wrong, in the order of the record.
    pub(crate) faults: Vec<String>,
}

/// Checks an export. With the text of a key, the chain too; with `consumers`, that each of them has acked every event once.
pub(crate) fn check(export: &str, key: Option<&str>, consumers: &[&str]) -> Found {
    let mut found = Found::default();
    let mut chain = key.map(|key| Chain { key: key.trim().to_owned(), before: vec![0; 32] });
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let mut standings: BTreeMap<(String, u64), Standing> = BTreeMap::new();
    let mut expected = 1;
    for text in export.lines() {
        let Ok(line) = serde_json::from_str::<Line<'_>>(text) else {
            found.faults.push(format!("entry {expected}: it cannot be read"));
            break;
        };
        if line.id != expected {
            found.faults.push(format!("entry {expected}: it is missing"));
        }
        expected = line.id + 1;
        found.entries += 1;
        let entry: Value = serde_json::from_str(line.entry.get()).unwrap_or_default();
        if let Some(chain) = &mut chain
            && !chain.holds(&line, &entry)
        {
            found.faults.push(format!("entry {}: the chain does not hold", line.id));
        }
        for fault in follow(&entry, &mut standings, &mut ranges, &mut found) {
            found.faults.push(format!("entry {}: {fault}", line.id));
        }
    }
    let told = |seq: u64| {
        // They rise; that they do was checked on the way.
        let at = ranges.partition_point(|(_, last)| *last < seq);
        ranges.get(at).is_some_and(|(first, _)| *first <= seq)
    };
    let mut acked: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for ((consumer, seq), standing) in &standings {
        if !told(*seq) {
            found.faults.push(format!("event {seq}: {consumer} was handed it, and it never came into the log"));
        }
        if standing.acked {
            acked.entry(consumer.clone()).or_default().insert(*seq);
        } else if consumers.contains(&consumer.as_str()) {
            found.faults.push(format!("event {seq}: {consumer} has never acked it"));
        }
    }
    found.acked = acked.iter().map(|(consumer, seqs)| (consumer.clone(), seqs.len() as u64)).collect();
    // Places may be skipped, so it is their number that tells whether all were acked.
    for consumer in consumers {
        let acked = found.acked.get(*consumer).copied().unwrap_or_default();
        if acked != found.events {
            found.faults.push(format!("{consumer} has acked {acked} of {} events", found.events));
        }
    }
    found
}

/// Takes one entry into account; answers with what it shows to be wrong.
fn follow(
    entry: &Value,
    standings: &mut BTreeMap<(String, u64), Standing>,
    ranges: &mut Vec<(u64, u64)>,
    found: &mut Found,
) -> Vec<String> {
    let mut faults = Vec::new();
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    let numbers = |name: &str| entry[name].as_array().into_iter().flatten();
    let seqs: Vec<u64> = numbers("seqs").filter_map(Value::as_u64).collect();
    let attempts: Vec<i64> = numbers("attempts").filter_map(Value::as_i64).collect();
    let runs: Option<Runs> = Runs::deserialize(&entry["runs"]).ok();
    let of = |seq: u64| (text("consumer").to_owned(), seq);
    match text("what") {
        "events" => {
            let (first, last) = (entry["first"].as_u64().unwrap_or(0), entry["last"].as_u64().unwrap_or(0));
            if ranges.last().is_some_and(|(_, before)| *before >= first) {
                faults.push(format!("event {first}: its place was taken already"));
            }
            ranges.push((first, last));
            found.events += entry["count"].as_u64().unwrap_or(0);
        }
        "leased" => {
            let Some(runs) = runs else { return vec!["a lease without an end".into()] };
            for (seq, attempt) in seqs.into_iter().zip(attempts) {
                found.leases += 1;
                let standing = standings.entry(of(seq)).or_default();
                if standing.acked {
                    faults.push(format!("event {seq}: it was handed out after it was acked"));
                }
                if let Some(before) = &standing.lease {
                    found.run_out += 1;
                    if before.runs.boot_id == runs.boot_id && runs.from_millis < before.runs.until_millis {
                        let early = before.runs.until_millis - runs.from_millis;
                        faults.push(format!(
                            "event {seq}: it was handed out as attempt {attempt} while attempt {} had {early} ms left",
                            before.attempt
                        ));
                    }
                    if attempt <= before.attempt {
                        faults.push(format!("event {seq}: attempt {attempt} came after attempt {}", before.attempt));
                    }
                }
                standing.lease = Some(Lease { attempt, runs: runs.clone() });
            }
        }
        "settled" => {
            for (seq, attempt) in seqs.into_iter().zip(attempts) {
                let standing = standings.entry(of(seq)).or_default();
                match &mut standing.lease {
                    Some(lease) if lease.attempt == attempt => {
                        if let Some(runs) = &runs {
                            lease.runs = runs.clone();
                        }
                    }
                    _ if text("act") == "ack" && standing.acked => {
                        faults.push(format!("event {seq}: it was acked twice"));
                    }
                    _ => faults.push(format!("event {seq}: attempt {attempt} was settled, and nobody had it")),
                }
                if runs.is_none() {
                    standing.lease = None;
                    standing.acked |= text("act") == "ack";
                }
            }
        }
        "taken_back" => {
            for seq in seqs {
                standings.entry(of(seq)).or_default().lease = None;
            }
        }
        "parked" => {
            for seq in seqs {
                if let Some(lease) = standings.entry(of(seq)).or_default().lease.take()
                    && entry["boot"]["boot_id"] == lease.runs.boot_id.as_str()
                    && entry["boot"]["millis"].as_i64() < Some(lease.runs.until_millis)
                {
                    faults.push(format!("event {seq}: it was parked while attempt {} had it", lease.attempt));
                }
            }
        }
        _ => {}
    }
    faults
}

/// The chain: each link is an HMAC over the one before it and the entry, every part preceded by its length.
struct Chain {
    key: String,
    before: Vec<u8>,
}

impl Chain {
    /// Whether the line follows the one before it.
    fn holds(&mut self, line: &Line<'_>, entry: &Value) -> bool {
        let what = entry["what"].as_str().unwrap_or_default();
        let Ok(at) = line.at.parse::<jiff::Timestamp>() else { return false };
        let (id, at) = (line.id.to_be_bytes(), at.as_millisecond().to_be_bytes());
        let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.key.as_bytes()));
        mac.update(b"mailbell audit entry\n");
        mac.update(&self.before);
        for part in [&id[..], &at[..], what.as_bytes(), line.entry.get().as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let mac = mac.sign().as_ref().to_vec();
        let holds = hex::encode(&mac) == line.mac;
        // From the line as it stands: one fault is told once, and what follows it is judged by itself.
        self.before = hex::decode(&line.mac).unwrap_or_default();
        holds
    }
}
