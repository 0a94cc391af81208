//! A prompt as the user's words to a model: a sentence of ours, and the event that it is about, in its fences.

use rmcp::model::{GetPromptResult, PromptMessage, Role};

use super::{Fence, Part, Sentence, Shown as _, object};

/// A prompt that says this, about `event` where there is one.
pub(in crate::mcp) fn prompt(
    fence: &Fence,
    about: &'static str,
    says: &Sentence,
    event: Option<Part>,
) -> GetPromptResult {
    let text = match event {
        // An object names its fence itself.
        Some(event) => format!("{says}\n\nThe event:\n{}", object(fence, event).into_value()),
        None => says.whole(fence),
    };
    GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).with_description(about)
}
