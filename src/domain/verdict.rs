//! Whether a message is from whom it says: what SPF, DKIM and DMARC found (RFC 7208, RFC 6376, RFC 7489).

use serde::{Deserialize, Serialize};

/// What was found of one message. Only what a check found is here; no verdict at all means that nobody looked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Who looked: this service (`mailbell`), or the authserv-id of the trusted server before it.
    pub by: String,
    /// May the peer send for the envelope's domain?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spf: Option<Finding>,
    /// Does each signature hold?
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dkim: Vec<Finding>,
    /// Does the domain in From stand behind it?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dmarc: Option<Finding>,
}

/// One check's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The result.
    pub result: Outcome,
    /// The domain that it is about, where the check names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// The results of RFC 8601 section 2.7, in its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is a word of the RFC")]
pub enum Outcome {
    None,
    Pass,
    Fail,
    Softfail,
    Neutral,
    Policy,
    Temperror,
    Permerror,
}

impl Outcome {
    /// The outcome that `word` names, in any case.
    pub fn of(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "none" => Self::None,
            "pass" => Self::Pass,
            // RFC 8601 section 2.7.2: older servers say hardfail.
            "fail" | "hardfail" => Self::Fail,
            "softfail" => Self::Softfail,
            "neutral" => Self::Neutral,
            "policy" => Self::Policy,
            "temperror" => Self::Temperror,
            "permerror" => Self::Permerror,
            _ => return None,
        })
    }
}

impl Verdict {
    /// Whether a signature of `domain` itself holds.
    pub fn dkim_passes(&self, domain: &str) -> bool {
        let holds = |finding: &Finding| {
            finding.result == Outcome::Pass
                && finding.domain.as_deref().is_some_and(|signed| signed.eq_ignore_ascii_case(domain))
        };
        self.dkim.iter().any(holds)
    }
}
