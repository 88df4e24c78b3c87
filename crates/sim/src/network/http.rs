//! HTTP/1.1 over simulated connections: as much as simulated servers and clients need.

use std::future::Future;

use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;

use super::trace::HopEvent;
use super::{TcpListener, TcpStream};
use crate::errno::Errno;
use crate::io::PIPE_BYTES_MAX;

/// Most bytes of a request line or status line with its headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of a body.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most headers of a message.
const HEADERS_MAX: usize = 200;

/// Headers in order, with the names as they were sent.
pub type Headers = Vec<(String, String)>;

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers.
    pub headers: Headers,
    /// Body.
    pub body: Bytes,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers; Content-Length is added where it is absent.
    pub headers: Headers,
    /// Body.
    pub body: Bytes,
}

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The connection failed.
    Io(Errno),
    /// It ended before a message did.
    Closed,
    /// What came is not HTTP, or more than is allowed.
    Malformed,
}

impl Request {
    /// A request without body.
    pub fn new(method: &str, target: &str, host: &str) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            headers: vec![("Host".into(), host.into())],
            body: Bytes::new(),
        }
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A header by name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

impl Response {
    /// An answer of a content type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("Content-Type".into(), content_type.into())], body: body.into() }
    }

    /// Plain text.
    pub fn text(body: impl Into<String>) -> Self {
        Self::new(200, "text/plain; charset=utf-8", body.into())
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A header by name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The status line's words, such as `Not Found`.
    pub fn reason(&self) -> &'static str {
        http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason()).unwrap_or("")
    }
}

fn find<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Sends a request and waits for its answer.
///
/// # Errors
/// When the connection fails or what comes back is not HTTP.
pub async fn fetch(stream: &TcpStream, request: &Request) -> Result<Response, HttpError> {
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    write_headers(&mut text, &request.headers);
    if !request.body.is_empty() && request.header("Content-Length").is_none() {
        text.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    text.push_str("\r\n");
    let mut message = text.into_bytes();
    message.extend_from_slice(&request.body);
    stream.write_all(&message).await.map_err(HttpError::Io)?;
    let mut reader = Reader { stream, buffer: BytesMut::new() };
    loop {
        let (line, headers) = reader.head().await?.ok_or(HttpError::Closed)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(HttpError::Malformed)?;
        let bodiless = request.method == "HEAD" || status < 200 || status == 204 || status == 304;
        let body = if bodiless { Bytes::new() } else { reader.body(&headers, true).await? };
        if status >= 200 {
            return Ok(Response { status, headers, body });
        }
    }
}

/// Answers the connections of a listener, several at a time, for ever.
pub async fn serve<F, T>(listener: &TcpListener, handler: F)
where
    F: Fn(Request, TcpStream) -> T,
    T: Future<Output = Response>,
{
    let mut connections = FuturesUnordered::new();
    loop {
        let accept = Box::pin(listener.accept());
        let stream = if connections.is_empty() {
            accept.await
        } else {
            match select(accept, connections.next()).await {
                Either::Left((stream, _)) => stream,
                Either::Right(_) => continue,
            }
        };
        // Boxed: a server that nobody speaks with has room for none.
        connections.push(Box::pin(serve_connection(stream, &handler)));
    }
}

async fn serve_connection<F, T>(stream: TcpStream, handler: &F)
where
    F: Fn(Request, TcpStream) -> T,
    T: Future<Output = Response>,
{
    let info = stream.info().clone();
    let mut reader = Reader { stream: &stream, buffer: BytesMut::new() };
    loop {
        let request = match reader.request().await {
            Ok(Some(request)) => request,
            Ok(None) | Err(HttpError::Io(_) | HttpError::Closed) => return,
            Err(HttpError::Malformed) => {
                let response = Response::new(400, "text/plain; charset=utf-8", "400 Bad Request");
                let _ = stream.write_all(&encode(&response, false, false)).await;
                return;
            }
        };
        info.network.trace(info.connection, &info.client, || HopEvent::Request {
            to: info.server.clone(),
            method: request.method.clone(),
            target: request.target.clone(),
        });
        let keep_alive = !request.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let head_only = request.method == "HEAD";
        let response = handler(request, stream.clone()).await;
        let sent = stream.write_all(&encode(&response, head_only, keep_alive)).await;
        info.network.trace(info.connection, &info.client, || HopEvent::Response {
            to: info.server.clone(),
            status: response.status,
        });
        if sent.is_err() || !keep_alive {
            return;
        }
    }
}

fn encode(response: &Response, head_only: bool, keep_alive: bool) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} {}\r\n", response.status, response.reason());
    write_headers(&mut text, &response.headers);
    if response.header("Content-Length").is_none() {
        text.push_str(&format!("Content-Length: {}\r\n", response.body.len()));
    }
    if !keep_alive && response.header("Connection").is_none() {
        text.push_str("Connection: close\r\n");
    }
    text.push_str("\r\n");
    let mut message = text.into_bytes();
    if !head_only {
        message.extend_from_slice(&response.body);
    }
    message
}

fn write_headers(text: &mut String, headers: &Headers) {
    for (name, value) in headers {
        // A line break inside a header would begin another one.
        let clean = |part: &str| part.replace(['\r', '\n'], " ");
        text.push_str(&format!("{}: {}\r\n", clean(name), clean(value)));
    }
}

struct Reader<'a> {
    stream: &'a TcpStream,
    buffer: BytesMut,
}

impl Reader<'_> {
    /// More bytes into the buffer; false at the end.
    async fn fill(&mut self) -> Result<bool, HttpError> {
        let part = self.stream.read(PIPE_BYTES_MAX).await.map_err(HttpError::Io)?;
        self.buffer.extend_from_slice(&part);
        Ok(!part.is_empty())
    }

    async fn request(&mut self) -> Result<Option<Request>, HttpError> {
        let Some((line, headers)) = self.head().await? else { return Ok(None) };
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
            return Err(HttpError::Malformed);
        };
        if !version.starts_with("HTTP/1.") || words.next().is_some() {
            return Err(HttpError::Malformed);
        }
        let body = self.body(&headers, false).await?;
        Ok(Some(Request { method: method.into(), target: target.into(), headers, body }))
    }

    /// The first line and the headers; `None` if the connection ended before them.
    async fn head(&mut self) -> Result<Option<(String, Headers)>, HttpError> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(HttpError::Malformed);
            }
            if !self.fill().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(HttpError::Closed) };
            }
        };
        let head = String::from_utf8_lossy(&self.buffer.split_to(end)).into_owned();
        self.buffer.advance(4);
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .take(HEADERS_MAX)
            .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
            .collect::<Option<Headers>>()
            .ok_or(HttpError::Malformed)?;
        Ok(Some((first, headers)))
    }

    /// The body that the headers announce. `until_end`: without a length, all that comes.
    async fn body(&mut self, headers: &Headers, until_end: bool) -> Result<Bytes, HttpError> {
        if find(headers, "Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return self.chunks().await;
        }
        match find(headers, "Content-Length") {
            Some(length) => {
                let length = length.parse().map_err(|_| HttpError::Malformed)?;
                self.exactly(length).await
            }
            None if until_end => {
                while self.fill().await? {
                    if self.buffer.len() > BODY_BYTES_MAX {
                        return Err(HttpError::Malformed);
                    }
                }
                Ok(self.buffer.split().freeze())
            }
            None => Ok(Bytes::new()),
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Bytes, HttpError> {
        if length > BODY_BYTES_MAX {
            return Err(HttpError::Malformed);
        }
        while self.buffer.len() < length {
            if !self.fill().await? {
                return Err(HttpError::Closed);
            }
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn chunks(&mut self) -> Result<Bytes, HttpError> {
        let mut body = BytesMut::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| HttpError::Malformed)?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body.freeze());
            }
            if body.len().saturating_add(size) > BODY_BYTES_MAX {
                return Err(HttpError::Malformed);
            }
            body.extend_from_slice(&self.exactly(size).await?);
            self.line().await?;
        }
    }

    async fn line(&mut self) -> Result<String, HttpError> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer.split_to(end)).into_owned();
                self.buffer.advance(2);
                return Ok(line);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(HttpError::Malformed);
            }
            if !self.fill().await? {
                return Err(HttpError::Closed);
            }
        }
    }
}
