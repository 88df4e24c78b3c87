//! Requests to the API server, and its answers.

use std::cell::RefCell;
use std::collections::BTreeSet;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::{self, LocalBoxStream};
use http::Method;
use machinery::ApiError;
use machinery::wire::{Body, Request, Response};
use serde_json::Value;

use crate::error::Error;
use crate::host::{Host, SendError};
use crate::kubeconfig::Target;

/// Asks for the server's own columns.
pub const TABLE: &str =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

/// From this verbosity on, requests are told of.
const VERBOSE: i64 = 6;

/// Talks to one cluster.
pub struct Client<'h> {
    host: &'h dyn Host,
    /// Which cluster, as whom.
    pub target: Target,
    warned: RefCell<BTreeSet<String>>,
}

/// A path with query parameters.
#[derive(Clone, Debug)]
pub struct Url(String);

impl Url {
    /// A path, with or without parameters.
    pub fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// Adds a parameter.
    pub fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let separator = if self.0.contains('?') { '&' } else { '?' };
        self.0.push(separator);
        let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value.as_ref()).finish();
        self.0.push_str(&pair);
        self
    }

    /// Adds a parameter that has a value.
    pub fn with_some(self, name: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.with(name, value) }
    }
}

impl From<&str> for Url {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

impl From<String> for Url {
    fn from(path: String) -> Self {
        Self::new(path)
    }
}

impl<'h> Client<'h> {
    /// A client for a cluster.
    pub fn new(host: &'h dyn Host, target: Target) -> Self {
        Self { host, target, warned: RefCell::default() }
    }

    /// How many different warnings the server has sent.
    pub fn warnings(&self) -> usize {
        self.warned.borrow().len()
    }

    /// Sends a request; an answer that is not a success is an error.
    ///
    /// # Errors
    /// No answer, or a Status.
    pub async fn send(
        &self,
        method: Method,
        url: impl Into<Url>,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response, Error> {
        let response = self.exchange(method, url.into(), headers, body).await?;
        self.warn(&response);
        let code = response.status();
        if code.is_success() || code.as_u16() == 101 {
            return Ok(response);
        }
        let body = response.into_body().collect().await;
        Err(Error::Status(ApiError::from_answer(code, &body)))
    }

    async fn exchange(
        &self,
        method: Method,
        url: Url,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response, Error> {
        let server = &self.target.endpoint.server;
        let mut request = http::Request::builder().method(method).uri(url.0);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in &self.target.headers {
            request = request.header(name, value);
        }
        request = request.header("User-Agent", "kubectl/v1.37.0");
        let request: Request = request.body(Body::Bytes(body)).map_err(|error| Error::message(error.to_string()))?;
        let told = (self.target.verbosity >= VERBOSE).then(|| self.tell_request(&request));
        let began = self.host.now();
        let answer = match self.target.request_timeout {
            None => self.host.send(&self.target.endpoint, request).await,
            Some(limit) => match select(self.host.send(&self.target.endpoint, request), self.host.sleep(limit)).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => Err(SendError::Failed(
                    "net/http: request canceled (Client.Timeout exceeded while awaiting headers)".into(),
                )),
            },
        };
        if let Some(which) = told {
            let status = answer.as_ref().map_or_else(|_| String::new(), |response| response.status().to_string());
            let took = self.host.now().duration_since(began).as_millis();
            self.log(&format!("\"Response\" {which}status={status:?} milliseconds={took}"));
        }
        answer.map_err(|error| Error::Send { server: server.clone(), error })
    }

    /// Tells of a request as `-v` wants it, and gives what its answer is told with (client-go's
    /// transport/round_trippers.go).
    fn tell_request(&self, request: &Request) -> String {
        let which = format!("verb=\"{}\" url=\"{}{}\" ", request.method(), self.target.endpoint.server, request.uri());
        if self.target.verbosity <= VERBOSE {
            return which;
        }
        let shown = request.headers().iter().map(|(name, value)| match name.as_str() {
            "authorization" => format!("\t{name}: <masked>\n"),
            name => format!("\t{name}: {}\n", value.to_str().unwrap_or_default()),
        });
        self.log(&format!("\"Request\" {which}headers=<\n{} >", shown.collect::<String>()));
        if self.target.verbosity > VERBOSE + 1
            && let Body::Bytes(body) = request.body()
            && !body.is_empty()
        {
            self.log(&format!("\"Request Body\" body={:?}", String::from_utf8_lossy(body)));
        }
        String::new()
    }

    fn log(&self, text: &str) {
        let time = self.host.now().strftime("%m%d %H:%M:%S.%6f").to_string();
        self.host.stderr(format!("I{time}       1 round_trippers.go:632] {text}\n").as_bytes());
    }

    /// Whatever comes until the time for a request is over.
    fn limited(&self, stream: LocalBoxStream<'static, Bytes>) -> LocalBoxStream<'h, Bytes> {
        match self.target.request_timeout {
            Some(limit) => stream.take_until(self.host.sleep(limit)).boxed_local(),
            None => stream,
        }
    }

    /// Sends somebody else's request; any answer is one.
    ///
    /// # Errors
    /// No answer.
    pub async fn pass(
        &self,
        method: Method,
        url: impl Into<Url>,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response, Error> {
        self.exchange(method, url.into(), headers, body).await
    }

    /// Prints the `Warning` headers that have not been printed yet.
    fn warn(&self, response: &Response) {
        for header in response.headers().get_all("warning") {
            let text = header.to_str().unwrap_or_default();
            let Some(quoted) = text.split_once('"').map(|(_, rest)| rest.strip_suffix('"').unwrap_or(rest)) else {
                continue;
            };
            let text = quoted.replace("\\\"", "\"").replace("\\\\", "\\");
            if self.warned.borrow_mut().insert(text.clone()) {
                self.host.stderr(format!("Warning: {text}\n").as_bytes());
            }
        }
    }

    /// GET, as JSON.
    ///
    /// # Errors
    /// No answer, a Status, or an answer that is not JSON.
    pub async fn get(&self, url: impl Into<Url>) -> Result<Value, Error> {
        self.get_as(url, "application/json").await
    }

    /// GET in a representation, as JSON.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_as(&self, url: impl Into<Url>, accept: &str) -> Result<Value, Error> {
        let response = self.send(Method::GET, url, &[("Accept", accept)], Bytes::new()).await?;
        let mut answer = json(response).await?;
        name_kinds(&mut answer);
        Ok(answer)
    }

    /// GET, as bytes.
    ///
    /// # Errors
    /// No answer, or a Status.
    pub async fn get_bytes(&self, url: impl Into<Url>) -> Result<Bytes, Error> {
        let response = self.send(Method::GET, url, &[("Accept", "application/json, */*")], Bytes::new()).await?;
        Ok(response.into_body().collect().await)
    }

    /// GET, as lines that keep coming.
    ///
    /// # Errors
    /// No answer, or a Status.
    pub async fn stream(&self, url: impl Into<Url>, accept: &str) -> Result<LocalBoxStream<'h, Bytes>, Error> {
        let response = self.send(Method::GET, url, &[("Accept", accept)], Bytes::new()).await?;
        Ok(self.limited(response.into_body().into_stream().boxed_local()))
    }

    /// A watch: `(type, object)` as they come.
    ///
    /// # Errors
    /// No answer, or a Status.
    pub async fn watch(&self, url: Url, accept: &str) -> Result<LocalBoxStream<'h, (String, Value)>, Error> {
        let chunks = self.stream(url.with("watch", "true"), accept).await?;
        let events = stream::unfold((chunks, Vec::new()), async |(mut chunks, mut pending)| {
            loop {
                if let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    let Ok(mut event) = serde_json::from_slice::<Value>(&line) else { continue };
                    let kind = event["type"].as_str().unwrap_or_default().to_owned();
                    return Some(((kind, event["object"].take()), (chunks, pending)));
                }
                pending.extend_from_slice(&chunks.next().await?);
            }
        });
        Ok(events.boxed_local())
    }

    /// POST, PUT, PATCH or DELETE with a JSON body; the answer as JSON.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn write(
        &self,
        method: Method,
        url: impl Into<Url>,
        content_type: &str,
        body: &Value,
    ) -> Result<Value, Error> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.write_bytes(method, url, content_type, body).await
    }

    /// The same with a body that is at hand as bytes.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn write_bytes(
        &self,
        method: Method,
        url: impl Into<Url>,
        content_type: &str,
        body: Bytes,
    ) -> Result<Value, Error> {
        let headers = [("Accept", "application/json"), ("Content-Type", content_type)];
        json(self.send(method, url, &headers, body).await?).await
    }
}

/// Items that do not say of what kind they are, as those of typed lists, are of the list's.
fn name_kinds(answer: &mut Value) {
    let Some(kind) = answer["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).map(str::to_owned) else {
        return;
    };
    let version = answer["apiVersion"].clone();
    for item in answer.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(item) = item.as_object_mut()
            && !item.contains_key("kind")
        {
            item.insert("kind".into(), kind.as_str().into());
            item.insert("apiVersion".into(), version.clone());
        }
    }
}

async fn json(response: Response) -> Result<Value, Error> {
    let body = response.into_body().collect().await;
    serde_json::from_slice(&body)
        .map_err(|error| Error::message(format!("couldn't decode the server's answer: {error}")))
}
