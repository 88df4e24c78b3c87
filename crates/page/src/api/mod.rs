//! The page's one way to the cluster: HTTP-shaped calls, to the Worker or to the page's own origin.

mod origin;
mod worker;

use std::rc::Rc;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::stream::{LocalBoxStream, StreamExt};
use serde_json::Value;

pub use origin::Origin;
pub use worker::WorkerLink;

/// The cluster's API, by one of two transports.
#[derive(Clone)]
pub enum Api {
    /// A cluster in this tab, in a Web Worker.
    Worker(Rc<WorkerLink>),
    /// The cluster of the `playground serve` that served this page.
    Origin(Rc<Origin>),
    /// Another cluster of the same learner's computer, by its context.
    Other(Rc<Other>),
}

/// See [`Api::Other`].
pub struct Other {
    way: Api,
    context: String,
}

impl PartialEq for Api {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Worker(a), Self::Worker(b)) => Rc::ptr_eq(a, b),
            (Self::Origin(a), Self::Origin(b)) => Rc::ptr_eq(a, b),
            (Self::Other(a), Self::Other(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// A call that got no answer, in words for the person at the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError(pub String);

/// One call.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// HTTP method.
    pub method: String,
    /// Path and query, from `/`.
    pub path: String,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Bytes,
}

impl Call {
    /// A GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: "GET".into(), path: path.into(), ..Self::default() }
    }

    /// The same call with one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A call with a JSON body.
    pub fn json(method: &str, path: &str, content_type: &str, body: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec(body).unwrap_or_default().into();
        Self { method: method.into(), path: path.into(), headers: Vec::new(), body }
            .header("content-type", content_type)
    }
}

/// An answer, whose body may keep coming. Dropping it cancels the call.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body's bytes as they come.
    pub body: LocalBoxStream<'static, Bytes>,
}

impl Answer {
    /// The whole body.
    pub async fn bytes(self) -> Vec<u8> {
        self.body
            .fold(Vec::new(), async |mut all, part| {
                all.extend_from_slice(&part);
                all
            })
            .await
    }

    /// The body's lines as they come, without their newlines.
    pub fn lines(self) -> LocalBoxStream<'static, Vec<u8>> {
        // The body, what of it has come, and how much of that has been given.
        let start = (self.body, Vec::<u8>::new(), 0usize);
        futures::stream::unfold(start, |(mut body, mut come, mut given)| async move {
            loop {
                if let Some(length) = come[given..].iter().position(|byte| *byte == b'\n') {
                    let line = come[given..given + length].to_vec();
                    return Some((line, (body, come, given + length + 1)));
                }
                come.drain(..std::mem::take(&mut given));
                match body.next().await {
                    Some(part) => come.extend_from_slice(&part),
                    None if come.is_empty() => return None,
                    None => return Some((std::mem::take(&mut come), (body, come, 0))),
                }
            }
        })
        .boxed_local()
    }
}

/// A frame on a channel of a connection: exec's channels (0 in, 1 out, 4 resize), a terminal's also the editor's.
pub type Frame = (u8, Bytes);

/// An upgraded call. Dropping it hangs up.
pub struct Connection {
    /// Sends frames; cheap to clone.
    pub send: Rc<dyn Fn(Frame)>,
    /// Frames from the other side; its end is the connection's.
    pub receive: mpsc::UnboundedReceiver<Frame>,
    /// Hangs up when dropped.
    pub guard: Box<dyn std::any::Any>,
}

impl Other {
    fn path(&self, path: &str) -> String {
        format!("/playground/v1/clusters/{}{path}", self.context)
    }
}

impl Api {
    /// The way to another cluster of the same computer.
    pub fn other(&self, context: &str) -> Self {
        Self::Other(Rc::new(Other { way: self.clone(), context: context.to_owned() }))
    }

    /// Sends a call; the answer's body may keep coming.
    ///
    /// # Errors
    /// When there is no way to the cluster. An HTTP status is not an error here.
    pub async fn send(&self, call: Call) -> Result<Answer, ApiError> {
        match self {
            Self::Worker(link) => link.send(call).await,
            Self::Origin(origin) => origin.send(call).await,
            Self::Other(other) => {
                let call = Call { path: other.path(&call.path), ..call };
                Box::pin(other.way.send(call)).await
            }
        }
    }

    /// Sends a call and reads the answer as JSON.
    ///
    /// # Errors
    /// When there is no way to the cluster, the status is not a success (the Status' message then),
    /// or the body is not JSON.
    pub async fn json(&self, call: Call) -> Result<Value, ApiError> {
        let answer = self.send(call).await?;
        let status = answer.status;
        let body = answer.bytes().await;
        let value: Value = serde_json::from_slice(&body)
            .map_err(|_| ApiError(format!("HTTP {status}: {}", String::from_utf8_lossy(&body).trim())))?;
        if (200..300).contains(&status) {
            return Ok(value);
        }
        let message = value.get("message").and_then(Value::as_str).unwrap_or("no message");
        Err(ApiError(format!("HTTP {status}: {message}")))
    }

    /// Whether any number of calls may stay open: not over HTTP/1.1, of which browsers allow six.
    pub fn many_streams(&self) -> bool {
        match self {
            Self::Worker(_) => true,
            Self::Origin(_) => origin::multiplexed(),
            Self::Other(other) => other.way.many_streams(),
        }
    }

    /// Opens an upgraded connection to a path.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn connect(&self, path: &str) -> Result<Connection, ApiError> {
        match self {
            Self::Worker(link) => link.connect(path).await,
            Self::Origin(origin) => origin.connect(path).await,
            Self::Other(other) => Box::pin(other.way.connect(&other.path(path))).await,
        }
    }
}
