//! The API as clients outside the event loop call it: kubectl, other tools, the page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apiserver::{ApiServer, RequestInfo};
use http::header::USER_AGENT;
use http::request::Parts;
use machinery::status::ApiError;
use machinery::wire::{Request, Response};
use machinery::{Clock, Timestamp};

use crate::trace::{Asker, Trace};

/// The header by which kubectl tells its command.
pub(crate) const COMMAND: &str = "kubectl-command";

/// The API for any thread; what passes is in the trace, under the name by which the client calls
/// itself.
#[derive(Clone)]
pub struct PublicApi {
    server: ApiServer,
    clock: Arc<dyn Clock>,
    trace: Trace,
    /// Whether the API server is away.
    down: Arc<AtomicBool>,
}

impl PublicApi {
    pub(crate) fn new(server: ApiServer, clock: Arc<dyn Clock>, trace: Trace, down: Arc<AtomicBool>) -> Self {
        Self { server, clock, trace, down }
    }

    /// The cluster's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the API server is away, by a fault: connections are refused.
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Whether a request is answered with more than a refusal, as far as its head tells.
    pub fn admits(&self, head: &Parts) -> bool {
        self.server.admits(head)
    }

    /// Answers a request.
    pub fn handle(&self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        let uri = request.uri();
        let call = RequestInfo::parse(request.method(), uri.path(), uri.query().unwrap_or_default());
        let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let client = client_name(agent.unwrap_or_default());
        // kubectl says what it was called with (KEP-859): upstream's the command, the learner's the whole line.
        let command = request.headers().get(COMMAND).map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned());
        let (answer, clock, trace) = (self.server.handle(request), self.clock.clone(), self.trace.clone());
        let store = self.server.store().clone();
        // The control API is not Kubernetes': it is there to heal the fault.
        let down = self.is_down() && !call.path.starts_with("/playground/");
        async move {
            if down {
                return ApiError::service_unavailable("the API server is down").into_response();
            }
            let response = answer.await;
            let asker = Asker { name: &client, because: 0, command: command.as_deref() };
            trace.exchange(clock.now(), &asker, &call, &response, store.revision());
            response
        }
    }
}

/// The product of a user agent: `kubectl` of `kubectl/v1.37.0 (linux/amd64)`. A browser is the page.
fn client_name(agent: &str) -> String {
    const LENGTH_MAX: usize = 64;
    let name = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match agent.chars().take_while(name).take(LENGTH_MAX).collect::<String>() {
        name if name.is_empty() => "client".into(),
        name if name == "Mozilla" => "page".into(),
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::client_name;

    #[test]
    fn a_client_is_called_by_its_product() {
        for (agent, name) in [
            ("kubectl/v1.37.0 (linux/amd64) kubernetes/abcdef", "kubectl"),
            ("Helm/3.19.0", "Helm"),
            ("Mozilla/5.0 (X11; Linux x86_64)", "page"),
            ("", "client"),
            ("(curl)", "client"),
        ] {
            assert_eq!(client_name(agent), name);
        }
    }
}
