//! The requests of a connection that are open: a connection without any is closed after a while, as
//! Go's HTTP/2 server does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::timeout;

/// How many requests of a connection are open.
#[derive(Clone, Default)]
pub struct Open(Arc<watch::Sender<usize>>);

impl Open {
    /// One more, until what this gives is dropped.
    pub fn one(&self) -> One {
        self.0.send_modify(|open| *open += 1);
        One(self.clone())
    }

    /// Returns when there has been none for that long.
    pub async fn none_for(&self, time: Duration) {
        let mut open = self.0.subscribe();
        // The sender is here: waiting does not fail.
        loop {
            let _ = open.wait_for(|open| *open == 0).await;
            if timeout(time, open.wait_for(|open| *open > 0)).await.is_err() {
                return;
            }
        }
    }
}

/// An open request.
pub struct One(Open);

impl One {
    /// The request stays open until its answer's body has been sent.
    pub fn until_end_of(self, body: HttpBody) -> HttpBody {
        HttpBody::new(Counted { body, _one: self })
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}

/// A body that keeps its request open.
struct Counted {
    body: HttpBody,
    _one: One,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_idle_when_the_last_answer_has_been_sent() {
        let open = Open::default();
        let body = open.one().until_end_of(HttpBody::from("answer"));
        drop(open.one());
        let idle = tokio::spawn({
            let open = open.clone();
            async move { open.none_for(Duration::ZERO).await }
        });
        tokio::task::yield_now().await;
        assert!(!idle.is_finished(), "a watch may last");
        drop(body);
        idle.await.unwrap();
    }
}
