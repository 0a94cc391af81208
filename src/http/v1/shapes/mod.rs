//! Our words in the spellings of every client there is: the API's documentation, its SDK, its MCP server, the seed.
//!
//! Where they differ, an answer carries each name with the same value; facts that this service does not have are null.

mod email;
mod mailbox;
mod webhook;

use schemars::JsonSchema;
use serde::Serialize;

pub(super) use email::{Email, EmailPage, Thread};
pub(super) use mailbox::Mailbox;
pub(super) use webhook::{Delivery, FaringWebhook, Webhook};

use crate::domain::clock::UnixMillis;

/// A moment: RFC 3339 with three decimals and `Z`.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(super) struct Moment(#[schemars(with = "String", extend("format" = "date-time"))] UnixMillis);

impl From<UnixMillis> for Moment {
    fn from(at: UnixMillis) -> Self {
        Self(at)
    }
}

fn texts<T: ToString>(words: &[T]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
