//! Webhooks out, from registration to the last try.
//!
//! The `registry` takes an endpoint on only where `targets` lets it. When something happens in a mailbox, the store owes it
//! to every webhook that wants it, in the transaction that stores the thing itself. The `worker` is rung; it claims the
//! heads of the lines that are due and lets `dispatch` walk each line: sign, post by `egress`, ask `schedule` what the
//! answer means, write it down, go on with the next.
//!
//! What holds: no later event of a mailbox is sent to an endpoint before the earlier one is delivered or dead. A process
//! killed between the post and the record posts again; it never skips and never overtakes. Receivers tell a repeat by
//! its `event_id`.

pub mod dispatch;
pub mod egress;
pub mod registry;
pub mod schedule;
pub mod targets;
pub mod worker;
