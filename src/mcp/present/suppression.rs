//! Addresses that are not written to, as a model sees them.

use super::{Clip, Fence, Fenced, Part, json, shown};
use crate::{bell::upstream::Suppression, domain::clock::UnixMillis};

shown! {
    /// An address on the list.
    pub(in crate::mcp) struct SuppressionView {
        address: Fenced,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        created_at: Option<UnixMillis>,
    }
}

impl SuppressionView {
    pub(in crate::mcp) fn json(fence: &Fence, suppression: &Suppression, clip: Clip) -> Part {
        json(&Self {
            address: fence.code(&suppression.address),
            reason: suppression.reason.as_deref().map(|reason| fence.code(reason)),
            note: suppression.note.as_deref().map(|note| fence.text_up_to(note, clip.text_chars)),
            created_at: suppression.created_at,
        })
    }
}
