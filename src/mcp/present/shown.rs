//! What may stand in a result: words of ours, numbers, moments, and other people's words inside a fence. Nothing else has
//! the type for it, so a foreign text that somebody puts into a result bare does not compile.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Fenced, attachment::AttachmentUri, json, value};
use crate::domain::{
    clock::UnixMillis,
    consumer::Gap,
    event::{AcceptedBy, Auth, BounceType, EventKind, Tied},
    verdict::Outcome,
};

/// What a model may be shown. It is implemented in this file and by [`shown!`], and a test holds that to be so; no `String`
/// and no `&str` that is made while we run has it.
pub(in crate::mcp) trait Shown: Serialize + Sized {
    /// As JSON. What holds parts hands them on: a list's entries were made JSON when they were measured.
    fn into_value(self) -> Value {
        value(&self)
    }
}

/// A part of a result, made of what may be shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(in crate::mcp) struct Part(Value);

impl Part {
    /// Only [`json`] and [`super::object`] make one.
    pub(super) fn new(value: Value) -> Self {
        Self(value)
    }

    /// One field or entry that stands for itself.
    pub(in crate::mcp) fn of(shown: &impl Shown) -> Self {
        json(shown)
    }
}

macro_rules! shown_as_it_is {
    ($($type:ty),* $(,)?) => { $(impl Shown for $type {})* };
}

shown_as_it_is!(AttachmentUri, Fenced, &'static str, bool, u16, u32, u64, i64, usize, UnixMillis);
// Each of these is one of a few words that we chose.
shown_as_it_is!(AcceptedBy, Auth, BounceType, EventKind, Gap, Outcome, Tied);

impl Shown for Part {
    fn into_value(self) -> Value {
        self.0
    }
}

impl<T: Shown> Shown for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }
}

impl<T: Shown> Shown for Vec<T> {
    fn into_value(self) -> Value {
        Value::Array(self.into_iter().map(T::into_value).collect())
    }
}

impl<T: Shown> Shown for BTreeMap<&'static str, T> {
    fn into_value(self) -> Value {
        Value::Object(self.into_iter().map(|(name, shown)| (name.to_owned(), shown.into_value())).collect())
    }
}

impl<T: Shown> Shown for BTreeMap<EventKind, T> {}

/// Declares a struct, or an enum of structs, as something that may be shown: each of its fields must be. One without attributes
/// for serde hands its parts on.
macro_rules! shown {
    ($(#[doc = $doc:literal])* $vis:vis struct $name:ident {
        $($(#[doc = $about:literal])* $field:ident: $type:ty),* $(,)?
    }) => {
        #[derive(serde::Serialize)]
        $(#[doc = $doc])*
        $vis struct $name { $($(#[doc = $about])* $field: $type),* }
        impl $crate::mcp::present::Shown for $name where $($type: $crate::mcp::present::Shown),* {
            fn into_value(self) -> serde_json::Value {
                let Self { $($field),* } = self;
                serde_json::Value::Object(serde_json::Map::from_iter([
                    $((stringify!($field).to_owned(), $crate::mcp::present::Shown::into_value($field))),*
                ]))
            }
        }
    };
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
