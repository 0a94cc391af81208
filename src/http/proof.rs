//! `/keeper/{nonce}` at the API, `/hooks/-/{nonce}` at the receiver: proves to the other processes of the data directory that its
//! keeper listens here.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};

use crate::{
    bell::upstream::{PROOF_PATH, RECEIVER_PROOF_PATH},
    domain::secret::Secret,
    signing::proof::answer,
};

/// The API's route. `address` is where this listener is reached, as it is published.
pub fn router(secret: Secret, address: String) -> Router {
    at(PROOF_PATH, secret, address)
}

/// The receiver's route, which shows too whether a public URL leads to it. `address` is as it is published.
pub fn of_the_receiver(secret: Secret, address: String) -> Router {
    at(RECEIVER_PROOF_PATH, secret, address)
}

fn at(path: &str, secret: Secret, address: String) -> Router {
    Router::new().route(&format!("/{path}/{{nonce}}"), get(prove)).with_state((secret, address))
}

/// Answers nonces alone, so that nobody can have another text signed here.
async fn prove(
    State((secret, address)): State<(Secret, String)>,
    Path(nonce): Path<String>,
) -> Result<String, StatusCode> {
    let is_nonce = nonce.len() == NONCE_CHARS && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_nonce { Ok(answer(&secret, &address, &nonce)) } else { Err(StatusCode::NOT_FOUND) }
}

/// 256 bits in hexadecimal.
const NONCE_CHARS: usize = 64;
