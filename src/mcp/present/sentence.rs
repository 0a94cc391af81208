//! What a model is told in prose: a failure, and what to do next. A sentence is made of words of ours, numbers, and other
//! people's words inside a fence, as a result is.

use std::{error::Error, fmt};

use rmcp::{
    ErrorData,
    model::{CallToolResult, ContentBlock},
};

use super::{Fence, Fenced};
use crate::domain::{
    address::NotAnAddress,
    clock::{NotATimestamp, UnixMillis},
    consumer::NotAName,
    cursor::{NotACursor, Seq},
    event::EventKind,
    id::is_bare,
};

/// A sentence for a model. [`sentence!`] makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::mcp) struct Sentence(String);

/// What a sentence may be made of. Implemented in this file only.
pub(in crate::mcp) trait Spoken: fmt::Display {}

macro_rules! spoken_as_it_is {
    ($($type:ty),* $(,)?) => { $(impl Spoken for $type {})* };
}

spoken_as_it_is!(Sentence, Fenced, &'static str, bool, u16, u32, u64, i64, usize, Seq, UnixMillis, EventKind);
// These say what is allowed, and nothing of what was given.
spoken_as_it_is!(NotACursor, NotAName, NotATimestamp, NotAnAddress);

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&'static str> for Sentence {
    fn from(ours: &'static str) -> Self {
        Self(ours.into())
    }
}

impl Sentence {
    /// For [`sentence!`] alone, which sees to it that everything in it may be told.
    pub(in crate::mcp) fn made(text: String) -> Self {
        Self(text)
    }

    /// An error's own words, where somebody has made sure that they say nothing but what we wrote.
    pub(in crate::mcp) fn vouched_for(error: &impl Error) -> Self {
        Self(error.to_string())
    }

    /// `parts` with `between` each two of them.
    pub(in crate::mcp) fn joined(parts: impl IntoIterator<Item = impl Spoken>, between: &'static str) -> Self {
        Self(parts.into_iter().map(|part| part.to_string()).collect::<Vec<_>>().join(between))
    }

    pub(in crate::mcp) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Followed by the fence's name where something in it was fenced.
    pub(super) fn whole(&self, fence: &Fence) -> String {
        match fence.name() {
            Some(name) => format!("{self} (fence: {name})"),
            None => self.0.clone(),
        }
    }
}

/// `part`, seen to be something that may be told.
pub(in crate::mcp) fn spoken(part: &impl Spoken) -> &impl Spoken {
    part
}

/// A [`Sentence`], written as for `format!`. Names inside the braces are not taken from around it: each part is an
/// argument, so that its type is seen.
macro_rules! sentence {
    ($format:literal $(, $part:expr)* $(,)?) => {
        $crate::mcp::present::Sentence::made(format!(concat!($format) $(, $crate::mcp::present::spoken(&$part))*))
    };
}
pub(in crate::mcp) use sentence;

/// A failure that the model can do something about.
pub(in crate::mcp) fn failure(fence: &Fence, sentence: &Sentence) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(sentence.whole(fence))])
}

/// There is nothing at `uri`, which is named as the protocol asks (SEP-2164) where it cannot be mistaken for words.
pub(in crate::mcp) fn absent(fence: &Fence, sentence: &Sentence, uri: &str) -> ErrorData {
    let bare = uri.split('/').all(|part| part.is_empty() || is_bare(part));
    ErrorData::resource_not_found(sentence.whole(fence), bare.then(|| serde_json::json!({ "uri": uri })))
}

/// What was asked cannot be.
pub(in crate::mcp) fn invalid(fence: &Fence, sentence: &Sentence) -> ErrorData {
    ErrorData::invalid_params(sentence.whole(fence), None)
}

/// It could not be done.
pub(in crate::mcp) fn broken(fence: &Fence, sentence: &Sentence) -> ErrorData {
    ErrorData::internal_error(sentence.whole(fence), None)
}
