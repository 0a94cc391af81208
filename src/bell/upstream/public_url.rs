//! Does the URL that the world is told lead to our own receiver? The house asks itself, from outside.

use std::{error::Error as _, sync::Arc, time::Duration};

use url::Url;

use super::keeper::ANSWER_BYTES_MAX;
use crate::{
    domain::secret::Secret,
    ids::Ids,
    reach::{Names, Reach, client},
    signing::proof,
};

/// Where a receiver proves that it is this house's; the nonce is the last segment. It lies below the path that providers post
/// to, so that a proxy which passes on those passes this on too, and no source's name begins with a hyphen.
pub const RECEIVER_PROOF_PATH: &str = "hooks/-";
/// The whole of asking, through whatever tunnel there is.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who answers at a public URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answers {
    /// The receiver of this house.
    Ours,
    /// Something else, with this status.
    Another(u16),
    /// Nobody; why.
    Nobody(String),
}

/// Asks at `public_url` for the proof of the receiver that listens at `receiver`, such as `http://127.0.0.1:7412`, with a nonce
/// that is used once. The URL is our own, so it may lead to any address; no redirect is followed, as providers follow none.
pub async fn who_answers(
    public_url: &Url,
    receiver: &str,
    secret: &Secret,
    ids: &Ids,
    names: Arc<dyn Names>,
) -> Answers {
    let nonce = ids.secret("");
    let url = format!("{}/{RECEIVER_PROOF_PATH}/{nonce}", public_url.as_str().trim_end_matches('/'));
    let asked = async {
        let http = client(Reach::Own, names).timeout(TIMEOUT).build()?;
        let mut answer = http.get(url).send().await?;
        let mut said = Vec::new();
        while said.len() <= ANSWER_BYTES_MAX
            && let Some(piece) = answer.chunk().await?
        {
            said.extend_from_slice(&piece);
        }
        Ok::<_, reqwest::Error>((answer.status(), said))
    };
    match asked.await {
        Ok((status, said)) => {
            let said = std::str::from_utf8(&said).unwrap_or_default();
            let ours = status.is_success() && proof::holds(secret, receiver, &nonce, said);
            if ours { Answers::Ours } else { Answers::Another(status.as_u16()) }
        }
        Err(error) if error.is_timeout() => Answers::Nobody(format!("no answer within {} s", TIMEOUT.as_secs())),
        Err(error) => {
            let error = error.without_url();
            let mut why = error.to_string();
            let mut cause = error.source();
            while let Some(deeper) = cause {
                why = deeper.to_string();
                cause = deeper.source();
            }
            Answers::Nobody(why)
        }
    }
}
