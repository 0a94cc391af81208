//! An event on its own, for a program that is no MCP client: the same words in the same fences as in a tool's result.

use serde_json::{Value, json};

use super::{Clip, EventView, Fence, fence::fence_rule, object};
use crate::{
    domain::{
        consumer::{LeaseToken, LeasedEvent},
        id::ConsumerName,
    },
    ids::Ids,
};

/// `leased` as one JSON object: its fields, the consumer, the `lease_token` to act under with MCP tools, the name of the
/// fence, and in `about` what a model that reads this must know of fences.
pub fn alone(ids: &Ids, leased: &LeasedEvent, token: &LeaseToken, consumer: &ConsumerName) -> Value {
    let fence = Fence::new(ids);
    let mut event = EventView::json(&fence, &leased.event, leased.attempt, Clip::WHOLE);
    event["consumer"] = json!(fence.code(consumer.as_str()));
    event["lease_token"] = token.as_str().into();
    event["about"] = fence_rule!().into();
    object(&fence, &event)
}
