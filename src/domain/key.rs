//! API keys: who asks, and what they may.

use std::{fmt, str::FromStr};

use super::clock::UnixMillis;

/// What a key may do at the mail API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyScope {
    /// Read mailboxes and messages.
    Read,
    /// Send, and tag.
    Send,
    /// Change mailboxes, webhooks and keys; reading comes with it.
    Admin,
    /// See what waits for an operator's decision.
    OversightRead,
    /// Decide it; seeing comes with it.
    Oversight,
}

impl KeyScope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Read, Self::Send, Self::Admin, Self::OversightRead, Self::Oversight];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Admin => "admin",
            Self::OversightRead => "oversight_read",
            Self::Oversight => "oversight",
        }
    }

    /// Whether a key with this scope may do what needs `needed`.
    fn covers(self, needed: Self) -> bool {
        self == needed || matches!((self, needed), (Self::Admin, Self::Read) | (Self::Oversight, Self::OversightRead))
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the scopes of a key are read, send, admin, oversight_read and oversight")]
pub struct NotAScope;

impl FromStr for KeyScope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(NotAScope)
    }
}

/// A key of the mail API, without the token itself: that is kept only as a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// `key_…`.
    pub id: String,
    /// The first characters of its token, by which its owner knows it.
    pub prefix: String,
    /// Its name, unique; [`ApiKey::OF_THE_HOUSE`] is the token that the house itself uses.
    pub name: String,
    /// What it may, sorted.
    pub scopes: Vec<KeyScope>,
    /// When it was made.
    pub created_at: UnixMillis,
}

impl ApiKey {
    /// The id of the operator's own token, and of what does here what an operator has approved. No key in the store has it.
    pub const OF_THE_OPERATOR: &'static str = "key_of_the_operator";
    /// The id of whoever does what was approved; it alone may send what was shown as it stands.
    pub const OF_APPROVALS: &'static str = "key_of_approvals";
    /// The name of the `api` token: who holds it sits at this machine, so it alone may name loopback endpoints.
    pub const OF_THE_HOUSE: &'static str = "api";

    /// Whether it may do what needs `needed`.
    pub fn may(&self, needed: KeyScope) -> bool {
        self.scopes.iter().any(|scope| scope.covers(needed))
    }

    /// A person in charge, who holds the operator token. Not `send`: whoever approves does not send.
    pub fn operator() -> Self {
        let scopes = vec![KeyScope::Read, KeyScope::Admin, KeyScope::OversightRead, KeyScope::Oversight];
        Self { scopes, ..Self::inside(Self::OF_THE_OPERATOR, "operator") }
    }

    /// Whoever does what was approved.
    pub fn of_approvals() -> Self {
        Self { scopes: KeyScope::ALL.to_vec(), ..Self::inside(Self::OF_APPROVALS, "approvals") }
    }

    fn inside(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            prefix: String::new(),
            name: name.to_owned(),
            scopes: Vec::new(),
            created_at: UnixMillis(0),
        }
    }

    /// Whether it does what was approved.
    pub fn does_approved(&self) -> bool {
        self.id == Self::OF_APPROVALS
    }

    /// Whether no operator need be asked about what it asks for, because it is one's.
    pub fn decides(&self) -> bool {
        self.may(KeyScope::Oversight)
    }

    /// Whether it may have a key made with this scope.
    pub fn may_grant(&self, scope: KeyScope) -> bool {
        self.may(scope) || self.id == Self::OF_THE_OPERATOR
    }

    /// Whether it is the house's own `api` token.
    pub fn is_of_the_house(&self) -> bool {
        self.name == Self::OF_THE_HOUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_itself_and_what_it_includes() {
        let key = |scopes: &[KeyScope]| ApiKey {
            id: "key_1".into(),
            prefix: String::new(),
            name: "k".into(),
            scopes: scopes.to_vec(),
            created_at: UnixMillis(0),
        };
        assert!(key(&[KeyScope::Admin]).may(KeyScope::Read));
        assert!(!key(&[KeyScope::Admin]).may(KeyScope::Send));
        assert!(!key(&[KeyScope::Read]).may(KeyScope::Admin));
        assert!(key(&[KeyScope::Oversight]).may(KeyScope::OversightRead));
        assert!(!key(&[KeyScope::OversightRead]).may(KeyScope::Oversight));
        assert!(!key(&[]).may(KeyScope::Read));
    }

    #[test]
    fn a_scope_is_read_back() {
        for scope in KeyScope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert_eq!("root".parse::<KeyScope>(), Err(NotAScope));
    }
}
