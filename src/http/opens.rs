//! `GET /o/{image}`: the tracking images, on the listener that the world reaches.
//!
//! The answer is the same for every name, so that nobody learns which exist. It sets no cookie, and no cache may keep it.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, Method, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::mail::tracking::{Asking, Tracking};

/// A transparent GIF of one pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\
    \x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";
/// Where browsers say that they fetch ahead of people.
const PURPOSES: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_TYPE, "image/gif"),
    (header::CACHE_CONTROL, "no-store, no-cache, private, max-age=0, must-revalidate"),
    (header::PRAGMA, "no-cache"),
    (header::EXPIRES, "0"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
];

/// The images of `tracking`.
pub fn router(tracking: Arc<Tracking>) -> Router {
    Router::new().route("/o/{image}", get(image)).with_state(tracking)
}

async fn image(State(tracking): State<Arc<Tracking>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    // Not decoded: a name of ours needs none of that, and one that cannot be decoded gets the picture too.
    let image = uri.path().rsplit('/').next().unwrap_or_default();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let asking = Asking { user_agent: text("user-agent"), purpose: PURPOSES.into_iter().find_map(text) };
    // HEAD shows nobody a picture.
    if method == Method::GET
        && let Err(error) = tracking.fetched(image, &asking).await
    {
        tracing::warn!(error = &error as &(dyn std::error::Error + 'static), "could not take note of an open");
    }
    (HEADERS, PIXEL).into_response()
}
