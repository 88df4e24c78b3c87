//! `agnhost guestbook`: a page, a primary and its replicas, all of one program (upstream test/images/agnhost/guestbook).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use serde_json::{Value, json};

use super::super::{GO, bind, serve};
use super::{PLAIN, get, logged, parameter, port, raw_parameter, taken, text};
use crate::network::http::{Request, Response};
use crate::process::Process;

/// How often a replica asks its primary to take it.
const TRIES: u32 = 60;

/// What this one keeps, and who gets what is written here.
#[derive(Default)]
struct Book {
    store: BTreeMap<String, String>,
    replicas: Vec<String>,
}

pub(super) async fn main(process: Process) -> i32 {
    let (http_port, backend_port) = (port(&process, "--http-port", 80), port(&process, "--backend-port", 6379));
    let Ok(listener) = bind(&process, http_port) else { return taken(&process, http_port).await };
    let book = Rc::new(RefCell::new(Book::default()));
    let process = Rc::new(process);
    let (own, kept) = (process.clone(), book.clone());
    let serving = serve(&process, listener, GO, move |request, _| {
        let (process, book) = (own.clone(), kept.clone());
        Box::pin(async move { answer(&process, &book, &request, backend_port).await })
    });
    match select(Box::pin(serving), Box::pin(register(&process, &book, backend_port))).await {
        Either::Left((code, _)) => code,
        Either::Right(((), _)) => {
            process.eprint(logged(&process.machine, "Timed out while registering to primary.")).await;
            1
        }
    }
}

/// Becomes a replica of a primary, where it is to be one, and takes over what that keeps. Ends only when there is none.
async fn register(process: &Process, book: &RefCell<Book>, port: u16) {
    let Some(primary) = text(process, "--replicaof") else { return std::future::pending().await };
    let target = format!("/register?host={}", process.machine.interface().address());
    process.eprint(logged(&process.machine, &format!("Registering to primary: {primary}:{port}{target}"))).await;
    for _ in 0..TRIES {
        match get(process, &primary, port, &target).await {
            Ok(response) => {
                let known: Value = serde_json::from_slice(&response.body).unwrap_or_default();
                for (key, value) in known["data"].as_object().into_iter().flatten() {
                    book.borrow_mut().store.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
                }
                process.eprint(logged(&process.machine, &format!("Registered to node: {primary}"))).await;
                return std::future::pending().await;
            }
            Err(why) => {
                let text = format!("encountered error while registering to primary: {why}. Retrying in 1 second.");
                process.eprint(logged(&process.machine, &text)).await;
                process.sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn answer(process: &Process, book: &RefCell<Book>, request: &Request, port: u16) -> Response {
    process.eprint(logged(&process.machine, &format!("{} {}", request.method, request.target))).await;
    let of = |name: &str| parameter(request, name).unwrap_or_default();
    let refused = |text: String| Response::new(400, PLAIN, text + "\n");
    let data = |data: Value| Response::text(json!({ "data": data }).to_string());
    match request.path() {
        "/register" => {
            let host = of("host");
            process.eprint(logged(&process.machine, &format!("Node '{host}' registered."))).await;
            let mut book = book.borrow_mut();
            book.replicas.push(host);
            data(json!(book.store))
        }
        "/get" => match of("key").as_str() {
            "" => data(json!(book.borrow().store)),
            key => data(json!(book.borrow().store.get(key).map_or("", String::as_str))),
        },
        "/set" => {
            let key = of("key");
            if key.is_empty() {
                return refused("Expected non-empty key in the URL.".into());
            }
            book.borrow_mut().store.insert(key, of("value"));
            let replicas = book.borrow().replicas.clone();
            for replica in replicas {
                // One that is gone has its successor, which registers anew.
                let _ = get(process, &replica, port, &request.target).await;
            }
            data(json!("Updated"))
        }
        "/guestbook" => {
            let raw = |name: &str| raw_parameter(request, name).unwrap_or_default();
            let host = match raw("cmd") {
                "get" => "agnhost-replica",
                "set" if raw("value").is_empty() => return refused("Expected non-empty value in the URL".into()),
                "set" => "agnhost-primary",
                other => return refused(format!("Unsupported cmd: '{other}'")),
            };
            let target = format!("/{}?key={}&value={}", raw("cmd"), raw("key"), raw("value"));
            match get(process, host, port, &target).await {
                Ok(response) => response,
                Err(why) => Response::new(417, PLAIN, why + "\n"),
            }
        }
        _ => Response::new(404, PLAIN, "404 page not found\n"),
    }
}
