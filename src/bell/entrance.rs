//! The way into the console: whoever holds the operator token gets a code for it, which opens the console once, within a minute.
//!
//! The token itself never goes through a browser. What a code has opened ends when that token is replaced.

use std::{sync::Arc, time::Duration};

use crate::{
    domain::{
        clock::{BootTime, Clock},
        secret::Secret,
    },
    ids::Ids,
    signing::digest::sha256,
    store::{
        StoreError,
        console::ConsoleCodes,
        tokens::{TokenHash, TokenScope, Tokens},
    },
};

/// How long a code opens the console: long enough to type it over.
pub const CODE_HOLDS: Duration = Duration::from_mins(1);
/// Hexadecimal digits of a code: 64 bits, of which nobody tries many within its minute.
const CODE_DIGITS: usize = 16;
/// Digits between two dashes.
const GROUP: usize = 4;

/// Makes codes, and knows them.
pub struct Entrance {
    codes: Arc<dyn ConsoleCodes>,
    tokens: Arc<dyn Tokens>,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
}

impl Entrance {
    /// An entrance with these keys.
    pub fn new(codes: Arc<dyn ConsoleCodes>, tokens: Arc<dyn Tokens>, clock: Arc<dyn Clock>, ids: Arc<Ids>) -> Self {
        Self { codes, tokens, clock, ids }
    }

    /// A code for whoever holds `operator`, in the place of any before it; none where that is not the operator's token.
    pub async fn code(&self, operator: &Secret) -> Result<Option<Secret>, StoreError> {
        let operator = sha256(operator.expose().as_bytes());
        if !self.stands(operator).await? {
            return Ok(None);
        }
        let digits: Vec<char> = self.ids.secret("").chars().take(CODE_DIGITS).collect();
        let groups: Vec<String> = digits.chunks(GROUP).map(|group| group.iter().collect()).collect();
        let now = self.clock.moment();
        let millis = now.boot_in(i64::try_from(CODE_HOLDS.as_millis()).unwrap_or(i64::MAX));
        let until = BootTime { boot_id: now.boot.boot_id.clone(), millis };
        let hash = sha256(digits.iter().collect::<String>().as_bytes());
        self.codes.keep_console_code(hash, operator, until, now.wall).await?;
        Ok(Some(Secret::new(groups.join("-"))))
    }

    /// Uses a code up, however it is spaced; answers with the hash of the token that it was made for, or with none where it is
    /// none that holds.
    pub async fn redeem(&self, code: &str) -> Result<Option<TokenHash>, StoreError> {
        let digits: String = code.chars().filter(char::is_ascii_hexdigit).take(CODE_DIGITS + 1).collect();
        if digits.len() != CODE_DIGITS {
            return Ok(None);
        }
        let hash = sha256(digits.to_ascii_lowercase().as_bytes());
        let Some(operator) = self.codes.use_console_code(hash, self.clock.moment()).await? else { return Ok(None) };
        Ok(self.stands(operator).await?.then_some(operator))
    }

    /// Whether the token with this hash is the operator's now.
    pub async fn stands(&self, operator: TokenHash) -> Result<bool, StoreError> {
        let bearer = self.tokens.principal(operator).await?;
        Ok(bearer.is_some_and(|bearer| bearer.scope == TokenScope::Operator))
    }
}
