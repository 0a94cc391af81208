//! What may stand in a result: words of ours, numbers, moments, and other people's words inside a fence. Nothing else has
//! the type for it, so a foreign text that somebody puts into a result bare does not compile.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Fenced, attachment::AttachmentUri, json};
use crate::domain::{
    clock::UnixMillis,
    consumer::Gap,
    event::{AcceptedBy, Auth, BounceType, EventKind, Tied},
    verdict::Outcome,
};

/// What a model may be shown. It is implemented in this file and by [`shown!`], and a test holds that to be so; no `String`
/// and no `&str` that is made while we run has it.
pub(in crate::mcp) trait Shown: Serialize {}

/// A part of a result, made of what may be shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(in crate::mcp) struct Part(Value);

impl Part {
    /// Only [`json`] and [`super::object`] make one.
    pub(super) fn new(value: Value) -> Self {
        Self(value)
    }

    /// As JSON.
    pub(super) fn into_value(self) -> Value {
        self.0
    }

    /// One field or entry that stands for itself.
    pub(in crate::mcp) fn of(shown: &impl Shown) -> Self {
        json(shown)
    }
}

macro_rules! shown_as_it_is {
    ($($type:ty),* $(,)?) => { $(impl Shown for $type {})* };
}

shown_as_it_is!(AttachmentUri, Fenced, Part, &'static str, bool, u16, u32, u64, i64, usize, UnixMillis);
// Each of these is one of a few words that we chose.
shown_as_it_is!(AcceptedBy, Auth, BounceType, EventKind, Gap, Outcome, Tied);

impl<T: Shown> Shown for Option<T> {}
impl<T: Shown> Shown for Vec<T> {}
impl<T: Shown> Shown for BTreeMap<&'static str, T> {}
impl<T: Shown> Shown for BTreeMap<EventKind, T> {}

/// Declares a struct, or an enum of structs, as something that may be shown: each of its fields must be.
macro_rules! shown {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$about:meta])* $field:ident: $type:ty),* $(,)? }) => {
        #[derive(serde::Serialize)]
        $(#[$meta])*
        $vis struct $name { $($(#[$about])* $field: $type),* }
        impl $crate::mcp::present::Shown for $name where $($type: $crate::mcp::present::Shown),* {}
    };
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($variant:ident { $($(#[$about:meta])* $field:ident: $type:ty),* $(,)? }),* $(,)?
    }) => {
        #[derive(serde::Serialize)]
        $(#[$meta])*
        $vis enum $name { $($variant { $($(#[$about])* $field: $type),* }),* }
        impl $crate::mcp::present::Shown for $name where $($($type: $crate::mcp::present::Shown,)*)* {}
    };
}
pub(in crate::mcp) use shown;
