//! Programs that use resources on purpose.

use std::time::Duration;

use super::web::apache;
use super::{serve, until_stopped};
use crate::network::http::Response;
use crate::process::{Process, Signal};

const STOPS: super::Stops = &[(Signal::Term, 143), (Signal::Int, 130)];
/// One CPU, in billionths.
const CPU: u64 = 1_000_000_000;

/// A size such as `150M` in bytes (powers of 1024).
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (text.get(..at)?, 1 << 10),
        (at, 'm' | 'M') => (text.get(..at)?, 1 << 20),
        (at, 'g' | 'G') => (text.get(..at)?, 1 << 30),
        (at, 'b' | 'B') => (text.get(..at)?, 1),
        _ => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// `stress`: `--cpu N` spins, `--vm N --vm-bytes B` holds memory, `--timeout T` ends it.
pub(super) async fn stress(process: Process) -> i32 {
    let value = |names: &[&str]| {
        let mut words = process.operands().iter();
        while let Some(word) = words.next() {
            for name in names {
                if word == name {
                    return words.next().cloned();
                }
                if let Some(value) = word.strip_prefix(&format!("{name}=")) {
                    return Some(value.to_owned());
                }
            }
        }
        None
    };
    let count = |names: &[&str]| value(names).and_then(|text| text.parse::<u32>().ok()).map_or(0, u64::from);
    let (cpus, vms) = (count(&["--cpu", "-c"]), count(&["--vm", "-m"]));
    let io = count(&["--io", "-i"]);
    let hog = value(&["--vm-bytes"]).and_then(|text| bytes(&text)).unwrap_or(256 << 20);
    if process.args.first().is_some_and(|name| name == "/stress") {
        return vish(&process).await;
    }
    if cpus + vms + io == 0 {
        process.eprint("Usage: stress [OPTION [ARG]] ...\n").await;
        return 1;
    }
    let line = |kind: &str, text: String| format!("stress: {kind}: [{}] {text}\n", process.pid);
    process.print(line("info", format!("dispatching hogs: {cpus} cpu, {io} io, {vms} vm, 0 hdd"))).await;
    let machine = process.machine.clone();
    // Hogs that hold their memory (`--vm-hang`) hardly compute.
    let touching = if value(&["--vm-hang"]).is_some() || process.operands().iter().any(|word| word == "--vm-keep") {
        0
    } else {
        vms
    };
    machine.set_cpu(process.pid, (cpus + touching).saturating_mul(CPU).saturating_add(io * (CPU / 10)));
    machine.set_memory(process.pid, (vms.saturating_mul(hog)).saturating_add(1 << 20));
    let limit = value(&["--timeout", "-t"]).and_then(|text| super::super::system::duration(&text));
    let work = async {
        match limit {
            Some(limit) => process.sleep(limit).await,
            None => std::future::pending().await,
        }
        0
    };
    let code = until_stopped(&process, STOPS, work).await;
    if code == 0 {
        process.print(line("info", "successful run completed".into())).await;
    }
    code
}

/// `vish/stress`: `-cpus N`, `-mem-total SIZE`; without either, it waits.
async fn vish(process: &Process) -> i32 {
    let words = process.operands();
    let value = |flag: &str| {
        words.iter().position(|word| word.trim_start_matches('-') == flag).and_then(|at| words.get(at + 1))
    };
    let cpus = value("cpus").and_then(|text| text.parse::<u32>().ok()).map_or(0, u64::from);
    let memory = value("mem-total").and_then(|text| bytes(text.trim_end_matches('i'))).unwrap_or(0);
    let time = super::stamp(process.machine.now(), "%m%d %H:%M:%S.%6f");
    let line = |number: u32, text: String| format!("I{time}       {} main.go:{number}] {text}\n", process.pid);
    let told =
        line(26, format!("Allocating \"{memory}\" memory, in \"4Ki\" chunks, with a 1ms sleep between allocations"));
    process.eprint(told).await;
    process.machine.set_memory(process.pid, memory.saturating_add(1 << 20));
    if cpus > 0 {
        process.eprint(line(39, format!("Spawning {cpus} threads to consume CPU"))).await;
        process.machine.set_cpu(process.pid, cpus.saturating_mul(CPU));
    }
    process.eprint(line(29, format!("Allocated \"{memory}\" memory"))).await;
    until_stopped(process, super::GO, std::future::pending()).await
}

/// The web page of the HorizontalPodAutoscaler walkthrough: each request computes for a while.
pub(super) async fn hpa_example(process: Process) -> i32 {
    /// What a million square roots take in PHP.
    const WORK: Duration = Duration::from_millis(30);
    let listener = match apache(&process).await {
        Ok(listener) => listener,
        Err(code) => return code,
    };
    let (machine, pid, stdout) = (process.machine.clone(), process.pid, process.stdout());
    serve(&process, listener, super::GRACEFUL, move |request, stream| {
        let (machine, stdout) = (machine.clone(), stdout.clone());
        Box::pin(async move {
            machine.executor().sleep(machine.stretch(WORK)).await;
            machine.use_cpu(pid, WORK);
            let at = super::stamp(machine.now(), "%d/%b/%Y:%H:%M:%S +0000");
            let line = format!(
                "{} - - [{at}] \"{} {} HTTP/1.1\" 200 3\n",
                stream.info().remote.ip(),
                request.method,
                request.target
            );
            let _ = stdout.write_all(line.as_bytes()).await;
            Response::new(200, "text/html; charset=UTF-8", "OK!")
        })
    })
    .await
}
