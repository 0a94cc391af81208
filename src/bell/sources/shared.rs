//! A secret that comes along with the request, for providers that sign nothing: in the path, or as HTTP's basic or bearer
//! authentication. All of it is in the head, so that no stranger's body is read.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Keys, RawRequest, Rejection, Verified};
use crate::{
    domain::{clock::UnixMillis, event::Auth},
    signing::token::is_same,
};

/// Whether the head carries a live secret. Of basic authentication the password counts.
pub(super) fn admits(head: &RawRequest, keys: &Keys<'_>) -> Result<(), Rejection> {
    let authorization = head.sole_header("authorization").and_then(password);
    let offered = [head.token.as_ref().map(|token| token.expose().to_owned()), authorization];
    let mut offered = offered.into_iter().flatten().peekable();
    if offered.peek().is_none() {
        return Err(Rejection::Missing);
    }
    let known = offered.any(|offered| keys.secrets.iter().any(|secret| is_same(secret.expose(), &offered)));
    if known { Ok(()) } else { Err(Rejection::Wrong) }
}

/// A request whose head carries a live secret. Its age is not asked for: whoever has seen it has the secret too.
pub(super) fn verify<'a>(request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection> {
    admits(request, keys)?;
    Ok(Verified::vouch(request, Auth::SharedSecret, true, now))
}

fn password(authorization: &str) -> Option<String> {
    let (scheme, value) = authorization.split_once(' ')?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.to_owned());
    }
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(value).ok()).flatten()?;
    let decoded = String::from_utf8(decoded).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bell::sources::settings::Settings, domain::secret::Secret};

    #[test]
    fn each_way_to_bring_the_secret_counts_and_nothing_else_does() {
        let secrets = [Secret::new("old-secret-0123456"), Secret::new("new-secret-0123456")];
        let keys = Keys { secrets: &secrets, settings: &Settings::default(), certificate: None };
        let judge = |token: Option<&str>, authorization: Option<String>| {
            let headers = authorization.map(|value| ("authorization".to_owned(), value)).into_iter().collect();
            admits(&RawRequest { headers, token: token.map(Secret::new), body: Vec::new() }, &keys)
        };
        let basic = |pair: &str| Some(format!("Basic {}", STANDARD.encode(pair)));
        assert_eq!(judge(Some("new-secret-0123456"), None), Ok(()));
        assert_eq!(judge(None, basic("anyone:old-secret-0123456")), Ok(()));
        assert_eq!(judge(None, Some("Bearer old-secret-0123456".into())), Ok(()));
        assert_eq!(judge(None, None), Err(Rejection::Missing));
        assert_eq!(judge(Some(""), None), Err(Rejection::Wrong));
        assert_eq!(judge(Some("old-secret-012345"), basic("old-secret-0123456:")), Err(Rejection::Wrong));
        assert_eq!(judge(None, Some("Digest old-secret-0123456".into())), Err(Rejection::Missing));
    }
}
