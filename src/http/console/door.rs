//! Who may ask: by what name, from which page, with which session; and what a browser may do with the answer.

use std::sync::Arc;

use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Redirect, Response},
};

use super::{
    Rooms,
    failure::refused,
    sessions::Session,
    visit::{Form, Visit},
};

/// The cookie's name.
pub(super) const COOKIE: &str = "mailbell_console";
/// A form's bytes, at most: a note and a few words.
const FORM_BYTES_MAX: usize = 16 << 10;
/// Cookies of ours that a request may bring: what another port puts beside ours is looked at and not believed.
const COOKIES_MAX: usize = 8;

/// What each answer forbids the browser: everything but our own style, script, icon, forms and feed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action \
                      'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`, under which a form of ours would have the origin `null`.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// Before every route: the name we are called by, and the page that asks.
pub(super) async fn guard(State(rooms): State<Arc<Rooms>>, request: Request, next: Next) -> Response {
    let mut response = match stranger(&rooms, &request) {
        Some(why) => refused(StatusCode::FORBIDDEN, why),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn stranger(rooms: &Rooms, request: &Request) -> Option<&'static str> {
    let named = one(request.headers(), &header::HOST).or_else(|| request.uri().authority().map(Authority::as_str));
    let Some(host) = rooms.hosts.iter().find(|host| named == Some(host)) else {
        return Some("The console is called by the address that `mailbell console` prints, and by no other name.");
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let origins: Vec<_> = request.headers().get_all(header::ORIGIN).iter().collect();
    let own = format!("http://{host}");
    let ours = match origins[..] {
        [] => reads,
        [origin] => origin.as_bytes() == own.as_bytes(),
        _ => false,
    };
    (!ours).then_some("This request came from a page that is none of the console's, so nothing was done.")
}

/// The header's value, where it stands there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok()).flatten()
}

/// Before every page behind a session's door: the session, and of a form its token.
pub(super) async fn inside(State(rooms): State<Arc<Rooms>>, mut request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let door = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
    let brought: Vec<String> = cookies(request.headers()).take(COOKIES_MAX).map(str::to_owned).collect();
    let session = match session(&rooms, &door, &brought).await {
        Some(session) => session,
        None if reads => return Redirect::to("/login").into_response(),
        None => return refused(StatusCode::FORBIDDEN, "The session is over, so nothing was done. Log in again."),
    };
    if !reads {
        let (parts, body) = request.into_parts();
        let Ok(bytes) = to_bytes(body, FORM_BYTES_MAX).await else {
            return refused(StatusCode::PAYLOAD_TOO_LARGE, "The form is too long, so nothing was done.");
        };
        let form = Form::read(&bytes);
        if !session.knows(form.get("csrf").unwrap_or_default()) {
            return refused(
                StatusCode::FORBIDDEN,
                "The form is none of this session's pages, so nothing was done. Load the page again.",
            );
        }
        request = Request::from_parts(parts, axum::body::Body::empty());
        request.extensions_mut().insert(form);
    }
    request.extensions_mut().insert(Visit { session, rooms });
    next.run(request).await
}

async fn session(rooms: &Rooms, door: &str, cookies: &[String]) -> Option<Arc<Session>> {
    let session = rooms.sessions.find(door, cookies, rooms.parts.clock.boot_millis())?;
    match rooms.parts.entrance.stands(session.operator).await {
        Ok(true) => Some(session),
        Ok(false) => {
            rooms.sessions.close(&session);
            None
        }
        Err(error) => {
            tracing::warn!(%error, "could not look whether the operator token still stands");
            None
        }
    }
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })
}
