//! Webhooks out, from registration to the last try.
//!
//! The `registry` takes an endpoint on only where `targets` lets it. When something happens in a mailbox, the store owes it
//! to every webhook that wants it, in the transaction that stores the thing itself. The `worker` is rung; it claims the
//! heads of the lines that are due and has `walk` take each line: let `dispatch` sign and post by `egress`, ask `schedule`
//! what the answer means, write it down, go on with the next. For 24 hours of `running` time it tries; then what is still
//! owed becomes a dead letter. `upkeep` is what people do by hand: replays, probes, secrets, off and on.
//!
//! What holds: no later event of a mailbox is sent to an endpoint before the earlier one is delivered or dead. A process
//! killed between the post and the record posts again; it never skips and never overtakes. Receivers tell a repeat by
//! its `event_id`.

pub mod dispatch;
pub mod egress;
pub mod registry;
pub mod running;
pub mod schedule;
pub mod targets;
pub mod upkeep;
mod walk;
pub mod worker;
