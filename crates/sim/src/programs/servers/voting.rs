//! Docker's example voting app: vote puts votes into redis, worker carries them into postgres, result
//! counts them there.

use std::time::Duration;

use super::postgres::Client;
use super::{GRACEFUL, bind, serve, until_stopped};
use crate::network::http::Response;
use crate::process::Process;

/// How often the worker looks for votes.
const LOOK: Duration = Duration::from_millis(100);
/// How long it waits before it tries a server again.
const RETRY: Duration = Duration::from_secs(1);

/// Sends a command to the Service `redis`; its answer's first bulk string or line.
async fn redis(process: &Process, words: &[&str]) -> Option<String> {
    let stream = process.machine.connect("redis", 6379).await.ok()?;
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(command.as_bytes()).await.ok()?;
    let reply = stream.read(65536).await.ok()?;
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let mut lines = reply.split("\r\n");
    let first = lines.next()?;
    match first.chars().next()? {
        '$' if first == "$-1" => None,
        '$' => lines.next().map(str::to_owned),
        _ => first.get(1..).map(str::to_owned),
    }
}

/// The page on which one votes: gunicorn on port 80.
pub(super) async fn vote(process: Process) -> i32 {
    let Ok(listener) = bind(&process, 80) else {
        return process.fail(1, "Connection in use: ('0.0.0.0', 80)").await;
    };
    process.eprint("[INFO] Starting gunicorn 23.0.0\n[INFO] Listening at: http://0.0.0.0:80 (1)\n").await;
    let option = |name: &str, default: &str| match process.var(name) {
        "" => default.to_owned(),
        given => given.to_owned(),
    };
    let (a, b) = (option("OPTION_A", "Cats"), option("OPTION_B", "Dogs"));
    let inner = std::rc::Rc::new(process);
    let worker = inner.clone();
    serve(&inner, listener, GRACEFUL, move |request, _| {
        let (process, a, b) = (worker.clone(), a.clone(), b.clone());
        Box::pin(async move {
            let cookie = request.header("Cookie").and_then(|text| text.split("voter_id=").nth(1));
            let voter = cookie.map(|text| text.split(';').next().unwrap_or_default().to_owned());
            let voter = voter.unwrap_or_else(|| format!("{:x}", process.machine.random() >> 1));
            let mut voted = String::new();
            if request.method == "POST" {
                let body = String::from_utf8_lossy(&request.body).into_owned();
                let choice = body.split('&').find_map(|pair| pair.strip_prefix("vote=")).unwrap_or_default();
                if !matches!(choice, "a" | "b") {
                    return Response::new(400, "text/html; charset=utf-8", "<h1>Bad Request</h1>\n");
                }
                let data = serde_json::json!({"voter_id": voter, "vote": choice}).to_string();
                if redis(&process, &["RPUSH", "votes", &data]).await.is_none() {
                    process.eprint("redis.exceptions.ConnectionError: Error connecting to redis:6379.\n").await;
                    return Response::new(500, "text/html; charset=utf-8", "<h1>Internal Server Error</h1>\n");
                }
                process.eprint(format!("Received vote for {choice}\n")).await;
                voted = format!("<p>You voted {}</p>\n", if choice == "a" { &a } else { &b });
            }
            let host = process.machine.hostname();
            let page = format!(
                "<!DOCTYPE html>\n<html>\n<head><title>{a} vs {b}!</title></head>\n<body>\n<h3>{a} vs {b}!</h3>\n\
                 <form method=\"POST\">\n<button name=\"vote\" value=\"a\">{a}</button>\n\
                 <button name=\"vote\" value=\"b\">{b}</button>\n</form>\n{voted}\
                 <p>Processed by container ID {host}</p>\n</body>\n</html>\n"
            );
            Response::new(200, "text/html; charset=utf-8", page).with("Set-Cookie", format!("voter_id={voter}; Path=/"))
        })
    })
    .await
}

async fn database(process: &Process) -> Result<Client, String> {
    Client::connect(process, "db", 5432, "postgres", "postgres", Some("postgres")).await
}

/// Carries votes from redis to postgres.
pub(super) async fn worker(process: Process) -> i32 {
    until_stopped(&process, GRACEFUL, async {
        loop {
            while redis(&process, &["PING"]).await.is_none() {
                process.print("Waiting for redis\n").await;
                process.sleep(RETRY).await;
            }
            process.print("Connected to redis\n").await;
            let mut db = loop {
                match database(&process).await {
                    Ok(db) => break db,
                    Err(_) => {
                        process.eprint("Waiting for db\n").await;
                        process.sleep(RETRY).await;
                    }
                }
            };
            process.eprint("Connected to db\n").await;
            let table = "CREATE TABLE IF NOT EXISTS votes (id VARCHAR(255) NOT NULL UNIQUE, vote VARCHAR(255) NOT NULL)";
            if db.query(table).await.is_err() {
                continue;
            }
            loop {
                process.sleep(LOOK).await;
                let Some(data) = redis(&process, &["LPOP", "votes"]).await else {
                    if redis(&process, &["PING"]).await.is_none() {
                        process.print("Reconnecting Redis\n").await;
                        break;
                    }
                    continue;
                };
                let vote: serde_json::Value = serde_json::from_str(&data).unwrap_or_default();
                let field = |name: &str| vote[name].as_str().unwrap_or_default().replace('\'', "''");
                let (id, choice) = (field("voter_id"), field("vote"));
                process.print(format!("Processing vote for '{choice}' by '{id}'\n")).await;
                let upsert = format!(
                    "INSERT INTO votes (id, vote) VALUES ('{id}', '{choice}') ON CONFLICT (id) DO UPDATE SET vote = '{choice}'"
                );
                if db.query(&upsert).await.is_err() {
                    // The vote is not lost with the connection.
                    redis(&process, &["LPUSH", "votes", &data]).await;
                    process.eprint("Reconnecting DB\n").await;
                    break;
                }
            }
        }
    })
    .await
}

/// The page with the result: Node.js on port 80. It counts whenever it is asked.
pub(super) async fn result(process: Process) -> i32 {
    let Ok(listener) = bind(&process, 80) else {
        return process.fail(1, "Error: listen EADDRINUSE: address already in use :::80").await;
    };
    process.print("App running on port 80\n").await;
    let inner = std::rc::Rc::new(process);
    let worker = inner.clone();
    serve(&inner, listener, GRACEFUL, move |_, _| {
        let process = worker.clone();
        Box::pin(async move {
            let counted = match database(&process).await {
                Ok(mut db) => db.query("SELECT vote, COUNT(id) AS count FROM votes GROUP BY vote").await,
                Err(error) => Err(error),
            };
            let counted = match counted {
                Ok(reply) => reply,
                Err(error) => {
                    process.eprint(format!("Error performing query: {error}\n")).await;
                    super::postgres::Reply::default()
                }
            };
            let of = |choice: &str| {
                let row = counted.rows.iter().find(|row| row.first().cloned().flatten().as_deref() == Some(choice));
                row.and_then(|row| row.get(1)?.as_ref()?.parse::<u64>().ok()).unwrap_or(0)
            };
            let (a, b) = (of("a"), of("b"));
            let share = |count: u64| (count * 100).checked_div(a + b).unwrap_or(50);
            let page = format!(
                "<!DOCTYPE html>\n<html>\n<head><title>Cats vs Dogs -- Result</title></head>\n<body>\n\
                 <div class=\"cats\">Cats {}%</div>\n<div class=\"dogs\">Dogs {}%</div>\n<p>{} vote{}</p>\n\
                 <p hidden>{{\"a\":{a},\"b\":{b}}}</p>\n</body>\n</html>\n",
                share(a),
                share(b),
                a + b,
                if a + b == 1 { "" } else { "s" }
            );
            Response::new(200, "text/html; charset=utf-8", page)
        })
    })
    .await
}
