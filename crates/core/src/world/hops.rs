//! What passes through the simulated network, as hops of the trace.

use futures::StreamExt;
use futures::channel::mpsc;
use sim::network::{Hop as NetworkHop, HopEvent};

use crate::control::{Hop, HopKind};
use crate::trace::Trace;

/// Reports network hops for as long as the network lives.
pub(super) async fn report(mut hops: mpsc::Receiver<NetworkHop>, trace: Trace) {
    while let Some(hop) = hops.next().await {
        trace.report_with(|| describe(hop));
    }
}

fn describe(hop: NetworkHop) -> Hop {
    let service = |service: Option<(machinery::ObjectKey, proxy::Via)>| {
        service.map(|(key, _)| format!("service/{key}")).unwrap_or_default()
    };
    // An answer goes back to whoever asked.
    let answered = matches!(hop.event, HopEvent::Response { .. });
    let (to, verb, object, error) = match hop.event {
        HopEvent::Resolved { name, addresses } => {
            let error = addresses.is_empty().then(|| "no such name".to_owned());
            ("dns".to_owned(), format!("lookup {name}"), String::new(), error)
        }
        HopEvent::Connected { destination: (address, port), service: by, to, .. } => {
            (to.to_string(), format!("connect {address}:{port}"), service(by), None)
        }
        HopEvent::Failed { destination: (address, port), service: by, error } => {
            (format!("{address}:{port}"), "connect".to_owned(), service(by), Some(error.to_string()))
        }
        HopEvent::Request { to, method, target } => (to.to_string(), format!("{method} {target}"), String::new(), None),
        HopEvent::Response { to, status } => (to.to_string(), status.to_string(), String::new(), None),
    };
    let asker = hop.from.to_string();
    let (from, to) = if answered { (to, asker) } else { (asker, to) };
    Hop { time: hop.time.to_string(), kind: HopKind::Network, from, to, verb, object, error, ..Hop::default() }
}
