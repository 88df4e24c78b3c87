//! What stands in for an image that is not built in.

use super::{GRACEFUL, bind, serve, until_stopped};
use crate::network::http::Response;
use crate::process::Process;

/// Serves HTTP on the ports its container declares (`PLAYGROUND_PORTS`, which the runtime sets), and
/// says in its log that it is generic.
pub(super) async fn main(process: Process) -> i32 {
    let image = process.var("GENERIC_IMAGE").to_owned();
    process.print(format!("playground: {image} is not built in; a generic server stands in for it\n")).await;
    if process.args.len() > 1 {
        process.print(format!("playground: asked to run: {}\n", process.operands().join(" "))).await;
    }
    let ports: Vec<u16> = process.var("PLAYGROUND_PORTS").split(',').filter_map(|port| port.parse().ok()).collect();
    let mut servers = Vec::new();
    for port in ports {
        let Ok(listener) = bind(&process, port) else {
            return process.fail(1, format!("cannot listen on port {port}: Address already in use")).await;
        };
        process.print(format!("playground: listening on port {port}\n")).await;
        let (stdout, host, image) = (process.stdout(), process.machine.hostname().to_owned(), image.clone());
        servers.push(Box::pin(serve(&process, listener, GRACEFUL, move |request, stream| {
            let (stdout, host, image) = (stdout.clone(), host.clone(), image.clone());
            Box::pin(async move {
                let line = format!("{} {} {}\n", stream.info().remote.ip(), request.method, request.target);
                let _ = stdout.write_all(line.as_bytes()).await;
                Response::text(format!("Hello from {host}, a stand-in for {image}\n"))
            })
        })));
    }
    if servers.is_empty() {
        process.print("playground: the container declares no port; waiting to be stopped\n").await;
        return until_stopped(&process, GRACEFUL, std::future::pending()).await;
    }
    futures::future::select_all(servers).await.0
}
