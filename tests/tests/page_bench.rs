//! What the page costs in a browser: `cargo xtask bench page` runs it and prints the figures.

use std::fs;
use std::time::{Duration, Instant};

use playground_tests::browser::{Browser, static_page};
use serde_json::Value;

/// Pods, and the nodes that hold them.
const CLUSTERS: [(u32, u32); 3] = [(100, 3), (1_000, 20), (10_000, 120)];
/// How long a browser is given before it is measured.
const BROWSER_STARTS: Duration = Duration::from_secs(5);
/// How long a rollout is watched at most.
const WATCHED_MAX: Duration = Duration::from_secs(150);

/// Counts the time of each frame from now on.
const BEGIN: &str = "window.frames = []; let last = 0; const frame = (now) => { if (last) frames.push(now - last); \
                     last = now; window.counting = requestAnimationFrame(frame); }; requestAnimationFrame(frame);";
/// Median, 95th and 99th percentile, the longest, and how many in a hundred came within 60 a second and half of that.
const END: &str = "cancelAnimationFrame(counting); const all = frames.sort((a, b) => a - b); \
                   const at = (part) => all[Math.min(all.length - 1, Math.floor(all.length * part))]; \
                   const within = (ms) => 100 * all.filter((time) => time <= ms).length / all.length; \
                   return [at(0.5), at(0.95), at(0.99), at(1), within(17.5), within(34), all.length];";

#[tokio::test]
#[ignore = "takes minutes and prints figures; `cargo xtask bench page` runs it"]
async fn measure() {
    let address = static_page();
    println!("\nfirst visit, cold, until kubectl has answered");
    for _ in 0..3 {
        println!("{:>10.0} ms", first_answer(&address).await);
    }
    println!("\n`kubectl get pods` of ten pods on a warm cluster, by itself and with its lines in the terminal");
    command(&address).await;
    println!("\nframes during a rollout");
    println!(
        "{:>7} {:>7} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>9} {:>9}",
        "pods", "nodes", "median", "95 %", "99 %", "longest", "60/s", "30/s", "rollout", "memory"
    );
    for (pods, nodes) in CLUSTERS {
        rollout(&address, pods, nodes).await;
    }
}

/// Milliseconds from the navigation to the first line that kubectl wrote, in a browser that has never been here.
async fn first_answer(address: &str) -> f64 {
    let browser = Browser::start(1440, 900).await;
    // A browser that has just started is busy with itself for a while.
    tokio::time::sleep(BROWSER_STARTS).await;
    browser.driver.goto(format!("{address}?command=kubectl%20get%20nodes")).await.expect("the page");
    browser
        .script(
            "const look = () => { \
             if (document.querySelector('.terminal')?.widget?.text().includes('control-plane')) \
             window.answered = performance.now(); else requestAnimationFrame(look); }; look();",
        )
        .await;
    browser.until_true("kubectl answers", "return window.answered > 0").await;
    let ms = browser.script("return window.answered").await.as_f64().unwrap_or(0.0);
    browser.close().await;
    ms
}

/// What one `kubectl get pods` takes from the shell and back to it: the time of many of them in a loop, less that of
/// as many times nothing. The first loops are the browser's to compile the code.
async fn command(address: &str) {
    const TIMES: u32 = 200;
    let browser = Browser::open(address, 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    browser
        .type_line(
            "kubectl create deployment web --image=nginx:1.27 --replicas=10; kubectl rollout status deployment/web",
        )
        .await;
    browser.until_terminal(|text| text.contains("successfully rolled out"), "ten pods").await;
    for round in 0..3 {
        let mut took = [0.0; 3];
        for (which, line) in ["true", "kubectl get pods > /dev/null", "kubectl get pods"].into_iter().enumerate() {
            let end = format!("end{round}{which}-2");
            browser
                .script(&format!(
                    "const from = performance.now(); window.took = 0; const look = () => \
                     document.querySelector('.terminal').widget.text().includes('{end}') \
                     ? window.took = performance.now() - from : setTimeout(look, 4); look()"
                ))
                .await;
            browser
                .type_line(&format!("for i in $(seq {TIMES}); do {line}; done; echo end{round}{which}-$((1+1))"))
                .await;
            browser.until_true("the loop ends", "return window.took > 0").await;
            took[which] = browser.script("return window.took").await.as_f64().unwrap_or(0.0);
        }
        let each = |of: f64| (of - took[0]).max(0.0) / f64::from(TIMES);
        println!("{:>10.2} ms {:>10.2} ms", each(took[1]), each(took[2]));
    }
    browser.close().await;
}

/// Rolls a Deployment out in a cluster of its own, with the map in view.
async fn rollout(address: &str, pods: u32, nodes: u32) {
    let browser = Browser::open(address, 1440, 900).await;
    browser
        .script(&format!(
            "sessionStorage.clear(); sessionStorage.setItem('nodes', '{nodes}'); localStorage.removeItem('cluster'); \
             window.before = true; location.reload()"
        ))
        .await;
    browser.until_true("the page comes anew", "return !window.before").await;
    browser.until("the cluster is connected", ".link-state.up").await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    browser.script(BEGIN).await;
    let started = Instant::now();
    browser.type_line(&format!("kubectl create deployment web --image=nginx:1.27 --replicas={pods}")).await;
    browser.type_line("kubectl rollout status deployment/web --timeout=300s").await;
    let done = "return document.querySelector('.terminal').widget.text().includes('successfully rolled out')";
    while browser.script(done).await != Value::Bool(true) && started.elapsed() < WATCHED_MAX {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let complete = browser.script(done).await == Value::Bool(true);
    let took = started.elapsed();
    let figures = browser.script(END).await;
    let of = |index: usize| figures[index].as_f64().unwrap_or(0.0);
    println!(
        "{pods:>7} {nodes:>7} {:>6.1} ms {:>6.1} ms {:>6.1} ms {:>6.0} ms {:>6.1} % {:>6.1} % {:>7.1} s {:>5} MiB{}",
        of(0),
        of(1),
        of(2),
        of(3),
        of(4),
        of(5),
        took.as_secs_f64(),
        renderers_mib(),
        if complete { "" } else { "  (not complete)" }
    );
    browser.close().await;
}

/// Memory of the browser's largest renderer, which is the page's with its Worker, in MiB.
fn renderers_mib() -> u64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let resident = processes.filter_map(|process| {
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        if !line.contains("--type=renderer") {
            return None;
        }
        let status = fs::read_to_string(process.path().join("status")).ok()?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        rss.split_whitespace().next()?.parse::<u64>().ok()
    });
    resident.max().unwrap_or(0) / 1024
}
