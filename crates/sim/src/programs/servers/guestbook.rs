//! The guestbook of the Kubernetes documentation: its front end, and redis' follower.

use std::rc::Rc;

use futures::future::select;

use super::web::apache;
use super::{GRACEFUL, bind, each_client, serve, until_stopped};
use crate::network::TcpStream;
use crate::network::http::Response;
use crate::process::Process;

/// One command to a redis; the value in its answer.
async fn redis(process: &Process, host: &str, words: &[&str]) -> Result<String, String> {
    let failed = |why: String| format!("Connection to redis failed: {host}:6379: {why}");
    let connected = process.machine.connect(host, 6379).await;
    let stream = connected.map_err(|error| failed(error.to_string()))?;
    let parts: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    let command = format!("*{}\r\n{parts}", words.len());
    stream.write_all(command.as_bytes()).await.map_err(|error| failed(error.to_string()))?;
    let reply = stream.read(1 << 20).await.map_err(|error| failed(error.to_string()))?;
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let mut lines = reply.splitn(3, "\r\n");
    Ok(match lines.next() {
        Some(head) if head.starts_with('$') && head != "$-1" => {
            lines.next().unwrap_or_default().trim_end_matches("\r\n").to_owned()
        }
        _ => String::new(),
    })
}

/// The front end: writes to `redis-leader`, reads from `redis-follower`.
pub(super) async fn frontend(process: Process) -> i32 {
    let listener = match apache(&process).await {
        Ok(listener) => listener,
        Err(code) => return code,
    };
    let inner = Rc::new(process);
    let worker = inner.clone();
    serve(&inner, listener, GRACEFUL, move |request, _| {
        let process = worker.clone();
        Box::pin(async move {
            if request.path() != "/guestbook.php" {
                let page = "<html ng-app=\"redis\">\n  <head>\n    <title>Guestbook</title>\n  </head>\n  <body>\n    <h2>Guestbook</h2>\n  </body>\n</html>\n";
                return Response::new(200, "text/html; charset=UTF-8", page);
            }
            let query = request.target.split_once('?').map_or("", |(_, query)| query).to_owned();
            let field = |name: &str| {
                let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                let found = pairs.find(|(key, _)| *key == name).map(|(_, value)| value.replace('+', " "));
                decode(&found.unwrap_or_default())
            };
            let key = field("key");
            let answer = match field("cmd").as_str() {
                "set" => redis(&process, "redis-leader", &["SET", &key, &field("value")])
                    .await
                    .map(|_| "{\"message\": \"Updated\"}".to_owned()),
                _ => redis(&process, "redis-follower", &["GET", &key])
                    .await
                    .map(|value| serde_json::json!({"data": value}).to_string()),
            };
            match answer {
                Ok(body) => Response::new(200, "application/json", body),
                Err(error) => {
                    process.eprint(format!("PHP Fatal error:  {error}\n")).await;
                    Response::new(500, "text/html; charset=UTF-8", "")
                }
            }
        })
    })
    .await
}

/// A follower of `redis-leader`: it passes on what it is asked.
pub(super) async fn follower(process: Process) -> i32 {
    let Ok(listener) = bind(&process, 6379) else {
        return process
            .fail(1, "Could not create server TCP listening socket *:6379: bind: Address already in use")
            .await;
    };
    process.print("* Ready to accept connections\n* Connecting to MASTER redis-leader:6379\n* MASTER <-> REPLICA sync started\n").await;
    until_stopped(&process, GRACEFUL, async {
        let pass_on = async |stream: TcpStream| {
            if let Ok(leader) = process.machine.connect("redis-leader", 6379).await {
                select(Box::pin(copy(&stream, &leader)), Box::pin(copy(&leader, &stream))).await;
            }
        };
        each_client(&listener, pass_on).await
    })
    .await
}

async fn copy(from: &TcpStream, to: &TcpStream) {
    while let Ok(part) = from.read(65536).await {
        if part.is_empty() || to.write_all(&part).await.is_err() {
            return;
        }
    }
}

/// A query's value without its percent signs.
fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'%' => {
                let (high, low) = (hex(bytes.next()), hex(bytes.next()));
                out.extend(high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok()));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
