//! Keys that make keys: none gets what its maker lacks.

use super::{Api, ApiError, must};
use crate::{
    domain::{
        key::{ApiKey, KeyScope},
        secret::Secret,
    },
    mail::keys::KEYS_MAX,
    store::keys::KeyAdded,
};

/// Characters of a key's name.
const NAME_CHARS_MAX: usize = 64;

/// What of a key is to be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// What it is called.
    pub name: Option<String>,
    /// What it may.
    pub scopes: Option<Vec<String>>,
}

impl Api {
    /// Every key, by name.
    pub async fn api_keys(&self, key: &ApiKey) -> Result<Vec<ApiKey>, ApiError> {
        must(key, KeyScope::Admin)?;
        Ok(self.keys.list().await?)
    }

    /// Makes a key; the answer holds its token, which nothing shows again.
    pub async fn add_api_key(
        &self,
        key: &ApiKey,
        name: &str,
        scopes: Option<Vec<String>>,
    ) -> Result<(ApiKey, Secret), ApiError> {
        must(key, KeyScope::Admin)?;
        let name = name_of(name)?;
        let scopes = scopes_of(key, &scopes.unwrap_or_else(|| vec![KeyScope::Read.to_string()]))?;
        let (added, made, token) = self.keys.add(&name, &scopes).await?;
        settled(added, &name)?;
        Ok((made, token))
    }

    /// Changes what a key is called and what it may; its token stays.
    pub async fn change_api_key(&self, key: &ApiKey, id: &str, change: KeyChange) -> Result<ApiKey, ApiError> {
        let mut changed = self.lesser_key(key, id).await?;
        if let Some(name) = change.name {
            changed.name = name_of(&name)?;
        }
        if let Some(scopes) = change.scopes {
            changed.scopes = scopes_of(key, &scopes)?;
        }
        settled(self.keys.change(&changed).await?, &changed.name)?;
        Ok(changed)
    }

    /// Ends a key.
    pub async fn remove_api_key(&self, key: &ApiKey, id: &str) -> Result<(), ApiError> {
        let ended = self.lesser_key(key, id).await?;
        self.keys.remove(&ended).await?;
        Ok(())
    }

    /// The key of that id, if `key` may change it: not one that may more than itself, nor the house's own.
    async fn lesser_key(&self, key: &ApiKey, id: &str) -> Result<ApiKey, ApiError> {
        must(key, KeyScope::Admin)?;
        let found = self.keys.list().await?.into_iter().find(|one| one.id == id);
        let found = found.ok_or_else(|| {
            ApiError::NotFound("there is no such key; GET /v1/api-keys lists them with their ids".into())
        })?;
        if found.is_of_the_house() {
            return Err(ApiError::Conflict(
                "this is the house's own key, which `mailbell token show api` prints; it is neither changed nor ended here"
                    .into(),
            ));
        }
        match found.scopes.iter().find(|scope| !key.may_grant(**scope)) {
            Some(scope) => Err(ApiError::Forbidden(*scope)),
            None => Ok(found),
        }
    }
}

fn name_of(name: &str) -> Result<String, ApiError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(ApiError::Invalid(format!("`name` has 1 to {NAME_CHARS_MAX} characters, none of them control")));
    }
    Ok(name.to_owned())
}

fn scopes_of(key: &ApiKey, words: &[String]) -> Result<Vec<KeyScope>, ApiError> {
    let scopes: Result<Vec<KeyScope>, _> = words.iter().map(|word| word.parse()).collect();
    let scopes = scopes.map_err(|error: crate::domain::key::NotAScope| ApiError::Invalid(error.to_string()))?;
    if scopes.is_empty() {
        return Err(ApiError::Invalid("`scopes` is empty; a key that may nothing is none".into()));
    }
    if scopes.contains(&KeyScope::Send) && scopes.contains(&KeyScope::Oversight) {
        return Err(ApiError::Invalid(
            "no key has both `send` and `oversight`: whoever sends does not approve what is sent; make two keys".into(),
        ));
    }
    match scopes.iter().find(|scope| !key.may_grant(**scope)) {
        Some(scope) => Err(ApiError::Forbidden(*scope)),
        None => Ok(scopes),
    }
}

fn settled(added: KeyAdded, name: &str) -> Result<(), ApiError> {
    match added {
        KeyAdded::Done => Ok(()),
        KeyAdded::NameTaken => {
            Err(ApiError::Conflict(format!("there is a key called `{name}` already; choose another name")))
        }
        KeyAdded::Full => Err(ApiError::Conflict(format!(
            "there are {KEYS_MAX} keys, and no more are kept; end those that nobody uses"
        ))),
    }
}
