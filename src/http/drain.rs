//! What a handler leaves unread of a request's body is read and dropped before it is answered, within bounds.
//!
//! A client that keeps its connection sends the next request behind this body. With the body unread the connection would end
//! without a word, and that next request with it. So it is read to its end; or, where that is too much, the answer says
//! `Connection: close`.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, HttpBody as _},
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use futures::{Stream as _, StreamExt as _, stream};

/// How much is read and dropped, in bytes: a client that still sends a body a little over a limit sees the answer to it.
const DROPPED_BYTES_MAX: usize = 4 << 20;
/// How long that may take: it holds the answer back.
const DROPPING_TIME_MAX: Duration = Duration::from_secs(5);

/// The middleware, around everything that a listener serves.
pub(super) async fn pass(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Such a client sends nothing of its body until somebody reads; whether it ever will, nobody knows.
    let waits = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let rest = Arc::new(Mutex::new(Rest { body: body.into_data_stream(), begun: false, ended: false }));
    let read = rest.clone();
    let body = Body::from_stream(stream::poll_fn(move |cx| Rest::poll(&read, cx)));
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let (begun, ended) = {
        let rest = rest.lock().unwrap_or_else(PoisonError::into_inner);
        (rest.begun, rest.ended)
    };
    // Whoever was too slow for the handler is so for us.
    let given_up = response.status() == StatusCode::REQUEST_TIMEOUT || (waits && !begun);
    if !ended && (given_up || !dropped(&rest).await) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that both the handler and we read from.
struct Rest {
    body: BodyDataStream,
    begun: bool,
    ended: bool,
}

type Chunk = Option<Result<axum::body::Bytes, axum::Error>>;

impl Rest {
    fn poll(rest: &Mutex<Self>, cx: &mut std::task::Context<'_>) -> Poll<Chunk> {
        let mut rest = rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.begun = true;
        let polled = pin!(&mut rest.body).poll_next(cx);
        rest.ended |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }
}

/// Reads the rest; whether it has come to its end.
async fn dropped(rest: &Mutex<Rest>) -> bool {
    let reading = async {
        let mut chunks = pin!(stream::poll_fn(|cx| Rest::poll(rest, cx)));
        let mut bytes = 0;
        while let Some(chunk) = chunks.next().await {
            bytes += chunk.map_or(0, |chunk| chunk.len());
            if bytes > DROPPED_BYTES_MAX {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(DROPPING_TIME_MAX, reading).await.unwrap_or(false)
}
