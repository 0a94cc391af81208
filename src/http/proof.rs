//! `/keeper/{nonce}`: proves to the other processes of the data directory that its keeper listens here.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};

use crate::{bell::upstream::PROOF_PATH, domain::secret::Secret, signing::proof::answer};

/// The route. `address` is where this listener is reached, as it is published.
pub fn router(secret: Secret, address: String) -> Router {
    Router::new().route(&format!("/{PROOF_PATH}/{{nonce}}"), get(prove)).with_state((secret, address))
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
