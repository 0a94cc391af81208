//! The tokens of a first start: one for agents, one for the mail API, one for the person in charge.
//!
//! The first two lie in files that only the owner can read, so that clients can be set up at any time. The operator's is
//! shown once and kept as a hash alone: an agent that reads the owner's files must not find it.

use std::path::PathBuf;

use super::data_dir::{DataDir, DataDirError, write_secret_file};
use crate::{
    domain::{clock::Clock, grant::Grant, secret::Secret},
    ids::Ids,
    signing::digest::sha256,
    store::{
        StoreError,
        tokens::{Made, Principal, TOKENS_MAX, TokenScope, Tokens},
    },
};

/// The file and name of the token for agents over HTTP.
pub const MCP: &str = "mcp";
/// The file and name of the token for the embedded service's API.
pub const API: &str = "api";
/// The file of the secret by which a keeper proves to other processes of the directory that it is one. It is no token: no
/// listener lets anybody in for it.
pub const PROOF: &str = "proof";
/// The name of the operator's token.
pub const OPERATOR: &str = "operator";

/// Why the tokens are not there.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] DataDirError),
    /// The store failed.
    #[error("could not keep a token")]
    Store(#[from] StoreError),
    /// The operator's token exists and the one given is not it.
    #[error("this is not the operator token; give the present one to replace it")]
    NotTheOperator,
}

/// The token in the file of that name, made now if there is none. It is in the file before anything knows it.
pub fn kept(dir: &DataDir, name: &str, ids: &Ids) -> Result<Secret, TokenError> {
    if let Some(token) = dir.token(name)? {
        return Ok(Secret::new(token));
    }
    let token = ids.secret(&format!("mb_{name}_"));
    dir.keep_token(name, &token)?;
    Ok(Secret::new(token))
}

/// Makes the token for agents, where it is missing, and lets it in.
pub async fn for_agents(dir: &DataDir, tokens: &dyn Tokens, clock: &dyn Clock, ids: &Ids) -> Result<(), TokenError> {
    let token = kept(dir, MCP, ids)?;
    let principal = Principal { name: MCP.to_owned(), scope: TokenScope::Mcp, grant: Grant::default() };
    Ok(tokens.put_token(&principal, sha256(token.expose().as_bytes()), clock.now()).await?)
}

/// Where the operator's token is shown, the one time that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShowOperatorToken {
    /// In a new file.
    InFile(PathBuf),
    /// On the terminal: the caller shows what is returned.
    OnTerminal,
    /// Nowhere, so none is made.
    Nowhere,
}

/// Makes the operator's token at the first start, if it can be shown; returns it if the terminal is the place.
pub async fn for_the_operator(
    show: &ShowOperatorToken,
    tokens: &dyn Tokens,
    clock: &dyn Clock,
    ids: &Ids,
) -> Result<Option<Secret>, TokenError> {
    if *show == ShowOperatorToken::Nowhere || tokens.has_token(OPERATOR).await? {
        return Ok(None);
    }
    let token = ids.secret("mb_operator_");
    if let ShowOperatorToken::InFile(path) = show {
        write_secret_file(path, &token)?;
    }
    put_operator(tokens, &token, clock).await?;
    Ok((*show == ShowOperatorToken::OnTerminal).then(|| Secret::new(token)))
}

/// Makes the operator's token, or with the present one, replaces it.
pub async fn replace_operator(
    present: Option<&Secret>,
    tokens: &dyn Tokens,
    clock: &dyn Clock,
    ids: &Ids,
) -> Result<Secret, TokenError> {
    if tokens.has_token(OPERATOR).await? {
        let present = present.ok_or(TokenError::NotTheOperator)?;
        let bearer = tokens.principal(sha256(present.expose().as_bytes())).await?;
        if bearer.is_none_or(|principal| principal.scope != TokenScope::Operator) {
            return Err(TokenError::NotTheOperator);
        }
    }
    let token = ids.secret("mb_operator_");
    put_operator(tokens, &token, clock).await?;
    Ok(Secret::new(token))
}

/// The names that no token made by the operator can have.
pub const RESERVED: [&str; 4] = [MCP, API, PROOF, OPERATOR];

/// The longest name of a token, in characters.
const NAME_CHARS_MAX: usize = 64;

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// The name is none.
    #[error("a token has a name of 1 to {NAME_CHARS_MAX} letters, digits, dots, hyphens and underscores")]
    NotAName,
    /// The name is one of ours, or taken.
    #[error("there is a token of that name; `mailbell token list` shows all, `mailbell token revoke NAME` ends one")]
    Exists,
    /// There are too many.
    #[error("there are {TOKENS_MAX} tokens, as many as there can be; revoke some with `mailbell token revoke NAME`")]
    TooMany,
    /// The store failed.
    #[error("could not keep the token")]
    Store(#[from] StoreError),
}

/// Makes a token for agents that grants so much. It is kept as a hash alone, so this is the one time it can be shown.
pub async fn create(
    name: &str,
    grant: &Grant,
    tokens: &dyn Tokens,
    clock: &dyn Clock,
    ids: &Ids,
) -> Result<Secret, NotMade> {
    // A colon would end the name where a holder's name goes on, and a star is none in the search for what it holds.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(1..=NAME_CHARS_MAX).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(NotMade::NotAName);
    }
    if RESERVED.contains(&name) {
        return Err(NotMade::Exists);
    }
    let token = ids.secret("mb_mcp_");
    match tokens.add_token(name, grant, sha256(token.as_bytes()), clock.now()).await? {
        Made::Made => Ok(Secret::new(token)),
        Made::Exists => Err(NotMade::Exists),
        Made::TooMany => Err(NotMade::TooMany),
    }
}

/// Ends a token, and with it all that its bearer has in progress, in whichever process; whether there was one. The one that
/// every start makes for agents is made anew by the next.
pub async fn revoke(name: &str, dir: &DataDir, tokens: &dyn Tokens, clock: &dyn Clock) -> Result<bool, TokenError> {
    if name == MCP {
        dir.remove_token(MCP)?;
    }
    Ok(tokens.revoke_token(name, clock.now()).await?)
}

async fn put_operator(tokens: &dyn Tokens, token: &str, clock: &dyn Clock) -> Result<(), StoreError> {
    let principal = Principal { name: OPERATOR.to_owned(), scope: TokenScope::Operator, grant: Grant::default() };
    tokens.put_token(&principal, sha256(token.as_bytes()), clock.now()).await
}
