//! The words of the house and their rules: no I/O, no clock of its own, no wire format of anybody else's.

pub mod address;
pub mod allow_hosts;
pub mod clock;
pub mod code;
pub mod consumer;
pub mod cursor;
pub mod event;
pub mod grant;
pub mod id;
pub mod key;
pub mod link;
pub mod message;
pub mod notice;
pub mod office;
pub mod oversight;
pub mod payload;
pub mod return_path;
pub mod secret;
pub mod suppression;
pub mod verdict;
pub mod webhook;
