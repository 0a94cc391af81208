//! Many real processes on one data directory: who keeps it, who takes over, and what none of them loses.
#![expect(unreachable_pub, reason = "stories share their support within one binary")]

mod backup;
mod bridge;
#[path = "../../examples/audit_check/check.rs"]
mod check;
mod doctor;
mod doctored;
mod exporting;
mod killed_mail;
mod noticing;
mod reference;
mod silence;
mod storm;
mod strangers;
mod support;
mod takeover;
mod telling;
mod upgrade;
mod waking;
mod watching;
