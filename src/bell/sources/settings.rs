//! How a source is set up beyond its secrets: kept as JSON beside it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::generic::mapping::Mapping;

/// What a source may be set to; everything has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How far a signed timestamp may lie from our clock, in seconds, either way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance_secs: Option<u32>,
    /// The topics of Amazon SNS that it may come from, by their ARN.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Whether signatures by SHA-1 are refused, where a provider makes them still.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sha256_only: bool,
    /// How a sender that no dialect is written for signs and spells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
}

/// How far a signed timestamp may lie from our clock, either way, unless a source is set otherwise.
const TOLERANCE: Duration = Duration::from_mins(5);
/// A day: beyond that a timestamp protects from nothing.
pub const TOLERANCE_SECS_MAX: u32 = 86_400;

/// Settings that this version cannot read.
#[derive(Debug, thiserror::Error)]
#[error("the settings of a source could not be read")]
pub struct Unreadable(#[from] serde_json::Error);

impl Settings {
    /// How far a signed timestamp may lie from our clock, either way.
    pub fn tolerance(&self) -> Duration {
        self.tolerance_secs.map_or(TOLERANCE, |secs| Duration::from_secs(secs.into()))
    }

    /// Reads what [`Settings::stored`] wrote.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        Ok(serde_json::from_str(text)?)
    }

    /// As JSON, to be kept.
    pub fn stored(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers make JSON")
    }
}
