//! WordPress as the documentation's tutorial looks at it: it installs itself into the database that it is given.

use std::rc::Rc;

use super::web::apache;
use super::{GRACEFUL, mysql, serve};
use crate::network::http::Response;
use crate::process::Process;

const INSTALL: &str = "<!DOCTYPE html>\n<html lang=\"en-US\">\n<head><title>WordPress &rsaquo; Installation</title></head>\n\
    <body class=\"wp-core-ui language-chooser\">\n<p id=\"logo\">WordPress</p>\n\
    <h1>Welcome</h1><p>Welcome to the famous five-minute WordPress installation process!</p>\n\
    <form method=\"post\" action=\"install.php?step=2\"><input name=\"weblog_title\"><input name=\"user_name\">\
    <button type=\"submit\">Install WordPress</button></form>\n</body>\n</html>\n";
const NO_DATABASE: &str = "<!DOCTYPE html>\n<html>\n<head><title>Database Error</title></head>\n\
    <body><h1>Error establishing a database connection</h1></body>\n</html>\n";

/// `docker-entrypoint.sh apache2-foreground`.
pub(super) async fn main(process: Process) -> i32 {
    const FOLDER: &str = "/var/www/html";
    let now = process.machine.now();
    if !process.fs().exists(&format!("{FOLDER}/wp-config.php")) {
        process.eprint(format!("WordPress not found in {FOLDER} - copying now...\n")).await;
        for (name, text) in [("index.php", "<?php\n"), ("wp-login.php", "<?php\n"), ("wp-config.php", "<?php\n")] {
            if let Err(error) = process.fs().write(&format!("{FOLDER}/{name}"), text, now) {
                return process.fail(1, format_args!("cannot write {FOLDER}/{name}: {error}")).await;
            }
        }
        process.eprint(format!("Complete! WordPress has been successfully copied to {FOLDER}\n")).await;
        process.eprint(format!("No 'wp-config.php' found in {FOLDER}, but 'WORDPRESS_...' variables supplied; copying 'wp-config-docker.php'\n")).await;
    }
    let listener = match apache(&process).await {
        Ok(listener) => listener,
        Err(code) => return code,
    };
    let inner = Rc::new(process);
    let worker = inner.clone();
    serve(&inner, listener, GRACEFUL, move |request, _| {
        let process = worker.clone();
        Box::pin(async move {
            let answer = page(&process, &request.method, request.path(), &request.body).await;
            answer.unwrap_or_else(|_| Response::new(500, "text/html; charset=utf-8", NO_DATABASE))
        })
    })
    .await
}

/// A page; an error where the database cannot be reached.
async fn page(process: &Process, method: &str, path: &str, body: &[u8]) -> Result<Response, String> {
    let or = |name: &str, other: &str| match process.var(name) {
        "" => other.to_owned(),
        value => value.to_owned(),
    };
    let (host, user) = (or("WORDPRESS_DB_HOST", "mysql"), or("WORDPRESS_DB_USER", "root"));
    let (name, password) = (or("WORDPRESS_DB_NAME", "wordpress"), process.var("WORDPRESS_DB_PASSWORD"));
    let host = host.split(':').next().unwrap_or_default();
    let mut client = mysql::connect(process, host, &user, password, "").await?;
    // As WordPress' image does it where the user may.
    client.query(&format!("CREATE DATABASE IF NOT EXISTS {name}")).await?;
    client.query(&format!("USE {name}")).await?;
    client.query("CREATE TABLE IF NOT EXISTS wp_options (option_name varchar(191), option_value text)").await?;
    let html = |text: String| Response::new(200, "text/html; charset=UTF-8", text);
    let titles = client.query("SELECT option_value FROM wp_options WHERE option_name = 'blogname'").await?;
    let title = titles.rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
    if method == "POST" && path == "/wp-admin/install.php" {
        let body = String::from_utf8_lossy(body);
        let mut fields = body.split('&').filter_map(|pair| pair.split_once('='));
        let given = fields.find(|(key, _)| *key == "weblog_title").map_or("", |(_, value)| value);
        let given = given.replace(['+', '\'', ';'], " ");
        client
            .query(&format!("INSERT INTO wp_options (option_name, option_value) VALUES ('blogname', '{given}')"))
            .await?;
        return Ok(html("<h1>Success!</h1><p>WordPress has been installed. Thank you, and enjoy!</p>\n".into()));
    }
    Ok(match (title, path) {
        (_, "/wp-admin/install.php") => html(INSTALL.into()),
        (Some(title), _) => html(format!(
            "<!DOCTYPE html>\n<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1><h2>Hello world!</h2></body>\n</html>\n"
        )),
        (None, _) => {
            let mut answer = Response::new(302, "text/html; charset=UTF-8", "");
            answer.headers.push(("Location".into(), "/wp-admin/install.php".into()));
            answer
        }
    })
}
