//! The bell wing's use cases: take events in, let agents wait for them, know who has handled what, and reach the mail API.

mod answer;
pub mod attending;
mod certificates;
pub mod consumers;
pub mod entrance;
pub mod fetch;
pub mod following;
mod handover;
pub mod health;
pub mod hosted;
pub mod imap;
pub mod indexing;
pub mod intake;
mod keeping;
pub mod letter;
pub mod notices;
pub mod oversight;
mod refusals;
pub mod retention;
mod roster;
pub mod sources;
pub mod upstream;
pub mod waiting;
pub mod webhooks;
