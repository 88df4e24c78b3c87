//! The built page in a browser: a static file server, chromedriver, and what a person does there.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use thirtyfour::error::WebDriverErrorInner;
use thirtyfour::extensions::query::ElementQueryable;
use thirtyfour::prelude::*;

use crate::{PATIENCE, root};

/// Serves `dist/` on a free port of this machine, for as long as the process lives, and gives the
/// page's address.
///
/// # Panics
/// When the page is not built.
pub fn static_page() -> String {
    page_that_goes().0
}

/// The same, and a switch by which the server goes away and comes back.
///
/// # Panics
/// When the page is not built.
pub fn page_that_goes() -> (String, Arc<AtomicBool>) {
    assert!(root().join("dist/index.html").exists(), "dist/: build it with `cargo xtask page`");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let gone = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&gone);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let switch = Arc::clone(&switch);
            std::thread::spawn(move || answer(stream, &switch));
        }
    });
    (format!("http://{address}/"), gone)
}

/// Answers the requests of a connection: files of `dist/`, as any static host would, until the server is gone.
fn answer(stream: TcpStream, gone: &AtomicBool) {
    let Ok(mut out) = stream.try_clone() else { return };
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
        if gone.load(Ordering::Relaxed) {
            return;
        }
        let path = request.split_whitespace().nth(1).unwrap_or("/").split('?').next().unwrap_or("/");
        let path = if path == "/" { "/index.html" } else { path };
        let (status, body) = match fs::read(root().join("dist").join(path.trim_start_matches('/'))) {
            Ok(body) if !path.contains("..") => ("200 OK", body),
            _ => ("404 Not Found", Vec::new()),
        };
        let kind = match Path::new(path).extension().and_then(|extension| extension.to_str()) {
            Some("html") => "text/html",
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            Some("wasm") => "application/wasm",
            Some("svg") => "image/svg+xml",
            Some("woff2") => "font/woff2",
            _ => "text/plain",
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        if out.write_all(head.as_bytes()).and_then(|()| out.write_all(&body)).is_err() {
            return;
        }
    }
}

/// A headless Chromium with the page open.
pub struct Browser {
    /// WebDriver's way to it.
    pub driver: WebDriver,
    chromedriver: Child,
}

/// Starts chromedriver, and gives the port on which it listens; none when it has ended without one.
fn chromedriver() -> Option<(Child, String)> {
    let mut chromedriver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver: `cargo xtask test` installs it");
    let output = chromedriver.stdout.take().expect("its output");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let port =
        lines.find_map(|line| Some(line.split_once("successfully on port ")?.1.trim_end_matches('.').to_owned()));
    match port {
        Some(port) => Some((chromedriver, port)),
        None => {
            let _ = chromedriver.wait();
            None
        }
    }
}

impl Browser {
    /// Opens an address in a window of this size, and waits for its cluster.
    ///
    /// # Panics
    /// When there is no Chromium or chromedriver.
    pub async fn open(address: &str, width: u32, height: u32) -> Self {
        let browser = Self::start(width, height).await;
        browser.driver.goto(address).await.expect("the page");
        browser.until("the cluster is connected", ".link-state.up").await;
        browser
    }

    /// A window of this size with nothing in it.
    ///
    /// # Panics
    /// When there is no Chromium or chromedriver.
    pub async fn start(width: u32, height: u32) -> Self {
        // It draws a port and may lose it to somebody else.
        let (chromedriver, port) = (0..5).find_map(|_| chromedriver()).expect("chromedriver's port");
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        {
            capabilities.add_arg(argument).expect("an argument");
        }
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await.expect("a browser");
        let browser = Self { driver, chromedriver };
        browser.resize(width, height).await;
        browser
    }

    /// Gives the page's content this size.
    ///
    /// # Panics
    /// When the browser does not take it.
    pub async fn resize(&self, width: u32, height: u32) {
        self.driver.set_window_rect(0, 0, width, height).await.expect("a window");
        let inner = self.script("return [innerWidth, innerHeight]").await;
        let missing = |index: usize, wanted: u32| {
            wanted + wanted.saturating_sub(u32::try_from(inner[index].as_u64().unwrap_or(0)).unwrap_or(wanted))
        };
        self.driver.set_window_rect(0, 0, missing(0, width), missing(1, height)).await.expect("a window");
    }

    /// Runs JavaScript in the page and gives what it returns.
    ///
    /// # Panics
    /// When it throws.
    pub async fn script(&self, script: &str) -> serde_json::Value {
        let value = self.driver.execute(script, Vec::new()).await;
        value.unwrap_or_else(|error| panic!("{script}: {error}")).json().clone()
    }

    /// Waits for an element.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn until(&self, what: &str, css: &str) -> WebElement {
        let query = self.driver.query(By::Css(css)).wait(PATIENCE, Duration::from_millis(100));
        match query.first().await {
            Ok(element) => element,
            Err(_) => panic!("this did not come true: {what} ({css}); the page says:\n{}", self.text("body").await),
        }
    }

    /// Waits until a script returns true.
    ///
    /// # Panics
    /// When it does not.
    pub async fn until_true(&self, what: &str, script: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.script(script).await != serde_json::Value::Bool(true) {
            assert!(
                Instant::now() < deadline,
                "this did not come true: {what}; the terminal says:\n{}",
                self.terminal().await
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Clicks on an element, once it can be.
    ///
    /// # Panics
    /// When there is none, or something stays over it.
    pub async fn click(&self, css: &str) {
        self.once_it_can(css, async |element| element.click().await).await;
    }

    /// Presses keys in an element, once it takes them.
    ///
    /// # Panics
    /// When it does not come, or stays hidden.
    pub async fn keys(&self, css: &str, keys: impl Into<TypingData>) {
        let keys = keys.into().to_string();
        self.once_it_can(css, async |element| element.send_keys(keys.as_str()).await).await;
    }

    /// Does something with an element as soon as the page lets it: not while it is drawn anew, fades in, or is not shown
    /// yet, which is nothing that a person would try.
    async fn once_it_can(&self, css: &str, act: impl AsyncFn(WebElement) -> WebDriverResult<()>) {
        use WebDriverErrorInner::{ElementClickIntercepted, ElementNotInteractable, StaleElementReference};
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = act(self.until("something to use", css).await).await {
            let comes = matches!(
                error.as_inner(),
                ElementClickIntercepted(_) | ElementNotInteractable(_) | StaleElementReference(_)
            );
            assert!(comes && Instant::now() < deadline, "{css}: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The text of an element, also of one that is still fading in; empty where there is none.
    ///
    /// # Panics
    /// When the page does not answer.
    pub async fn text(&self, css: &str) -> String {
        let text = self.script(&format!("return document.querySelector({css:?})?.innerText ?? ''")).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Types a command line into the terminal, key by key, and Enter.
    ///
    /// # Panics
    /// When there is no terminal.
    pub async fn type_line(&self, line: &str) {
        self.keys(".xterm-helper-textarea", format!("{line}\n")).await;
    }

    /// What the terminal shows, with what has scrolled away.
    pub async fn terminal(&self) -> String {
        let text = self.script("return document.querySelector('.terminal')?.widget?.text() ?? ''").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the terminal shows something.
    ///
    /// # Panics
    /// When it does not.
    pub async fn until_terminal(&self, wanted: impl Fn(&str) -> bool, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.terminal().await;
            if wanted(&shown) {
                return;
            }
            assert!(Instant::now() < deadline, "the terminal does not show {what}:\n{shown}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What axe-core finds against WCAG 2.2 AA in the page once nothing moves: a fading text has no contrast yet. A line each.
    ///
    /// # Panics
    /// When axe-core is not installed.
    pub async fn accessibility(&self) -> Vec<String> {
        let axe = fs::read_to_string(root().join("www/widgets/node_modules/axe-core/axe.min.js"));
        self.script(&axe.expect("axe-core: `cargo xtask page` installs it")).await;
        let rules = r#"["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]"#;
        let run = format!(
            "const done = arguments[0]; const still = document.getAnimations().filter(motion => \
             motion.effect.getComputedTiming().endTime < Infinity).map(motion => motion.finished.catch(() => null)); \
             Promise.all(still).then(() => axe.run({{runOnly: {rules}}})).then(result => done(result.violations.map(rule => \
             rule.id + ': ' + rule.nodes.map(node => node.target.join(' ') + ' ' + node.failureSummary).join('; '))))"
        );
        let found = self.driver.execute_async(run, Vec::new()).await.expect("axe-core's answer");
        found.convert().expect("a list of texts")
    }

    /// Closes the browser.
    pub async fn close(mut self) {
        // It goes with chromedriver otherwise.
        let _ = self.driver.clone().quit().await;
        let _ = self.chromedriver.kill();
        let _ = self.chromedriver.wait();
    }
}
