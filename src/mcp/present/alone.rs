//! An event on its own, for a program that is no MCP client: the same words in the same fences as in a tool's result.

use std::sync::Arc;

use serde_json::Value;

use super::{Clip, EventView, Fence, Fenced, Shown as _, fence::fence_rule, object, shown};
use crate::{
    domain::{
        consumer::{LeaseToken, LeasedEvent},
        id::ConsumerName,
    },
    ids::Ids,
};

shown! {
    struct Alone {
        #[serde(flatten)]
        event: EventView,
        consumer: Fenced,
        lease_token: Fenced,
        about: &'static str,
    }
}

/// `leased` as one JSON object: its fields, the consumer, the `lease_token` to act under with MCP tools, the name of the
/// fence, and in `about` what a model that reads this must know of fences.
pub fn alone(ids: &Arc<Ids>, leased: &LeasedEvent, token: &LeaseToken, consumer: &ConsumerName) -> Value {
    let fence = Fence::new(ids);
    let alone = Alone {
        event: EventView::new(&fence, &leased.event, leased.attempt, Clip::WHOLE),
        consumer: fence.code(consumer.as_str()),
        lease_token: fence.code(token.as_str()),
        about: fence_rule!(),
    };
    object(&fence, alone).into_value()
}
