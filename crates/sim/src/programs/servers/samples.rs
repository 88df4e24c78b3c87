//! Images of the documentation's samples: echoserver, perl (which computes pi), ingress-nginx' controller.

use machinery::sort::Order;

use super::{GRACEFUL, bind, serve, until_stopped};
use crate::network::http::Response;
use crate::process::Process;

/// `registry.k8s.io/echoserver`: says what it was asked, and by whom.
pub(super) async fn echoserver(process: Process) -> i32 {
    const PORT: u16 = 8080;
    let Ok(listener) = bind(&process, PORT) else {
        return process.fail(1, "bind() to 0.0.0.0:8080 failed (98: Address already in use)").await;
    };
    process.print("Generating self-signed cert\nStarting nginx\n").await;
    let (hostname, stdout) = (process.machine.hostname().to_owned(), process.stdout());
    let machine = process.machine.clone();
    serve(&process, listener, GRACEFUL, move |request, stream| {
        let (hostname, stdout, machine) = (hostname.clone(), stdout.clone(), machine.clone());
        Box::pin(async move {
            let client = stream.info().remote.ip();
            let query = request.target.split_once('?').map_or("", |(_, query)| query);
            let host = request.header("Host").unwrap_or_default().split(':').next().unwrap_or_default();
            let mut headers: Vec<String> =
                request.headers.iter().map(|(name, value)| format!("\t{}={value}\n", name.to_lowercase())).collect();
            headers.order();
            let body = match request.body.is_empty() {
                true => "-no body in request-".into(),
                false => String::from_utf8_lossy(&request.body),
            };
            let time = super::stamp(machine.now(), "%d/%b/%Y:%H:%M:%S +0000");
            let line = format!("{client} - - [{time}] \"{} {} HTTP/1.1\" 200\n", request.method, request.target);
            let _ = stdout.write_all(line.as_bytes()).await;
            Response::text(format!(
                "\n\nHostname: {hostname}\n\nPod Information:\n\t-no pod information available-\n\n\
                 Server values:\n\tserver_version=nginx: 1.13.3 - lua: 10008\n\n\
                 Request Information:\n\tclient_address={client}\n\tmethod={}\n\treal path={}\n\tquery={query}\n\t\
                 request_version=1.1\n\trequest_uri=http://{host}:{PORT}{}\n\nRequest Headers:\n{}\n\
                 Request Body:\n\t{body}\n\n",
                request.method,
                request.path(),
                request.target,
                headers.concat(),
            ))
        })
    })
    .await
}

/// `perl`, as far as the documentation's Job goes: `print bpi(N)`, the first N digits of pi.
pub(super) async fn perl(process: Process) -> i32 {
    const DIGITS_MAX: usize = 20_000;
    let program = process.operands().last().cloned().unwrap_or_default();
    let digits =
        program.trim().strip_prefix("print bpi(").and_then(|rest| rest.trim_end_matches(';').strip_suffix(')'));
    let Some(digits) =
        digits.and_then(|digits| digits.trim().parse::<usize>().ok()).filter(|n| (1..=DIGITS_MAX).contains(n))
    else {
        return process.fail(255, "this perl only knows: perl -Mbignum=bpi -wle 'print bpi(NUMBER)'").await;
    };
    // What it takes the original, about.
    process.machine.set_cpu(process.pid, 1_000_000_000);
    let work = std::time::Duration::from_micros(digits as u64 * 2500);
    process.sleep(process.machine.stretch(work)).await;
    process.machine.set_cpu(process.pid, 0);
    process.print(format!("{}\n", pi(digits))).await;
    0
}

/// Pi to so many digits, by Rabinowitz' and Wagon's spigot.
fn pi(digits: usize) -> String {
    // Some more, so that the last is right: nines may still be carried into.
    let wanted = digits + 10;
    let mut remainders = vec![2_u64; wanted * 10 / 3 + 1];
    let mut out: Vec<u8> = Vec::with_capacity(wanted);
    let (mut nines, mut held) = (0, 0_u8);
    for _ in 0..wanted {
        let mut carry = 0;
        for index in (0..remainders.len()).rev() {
            let base = index as u64 * 2 + 1;
            let value = remainders[index] * 10 + carry * (index as u64 + 1);
            if index == 0 {
                remainders[0] = value % 10;
                carry = value / 10;
            } else {
                remainders[index] = value % base;
                carry = value / base;
            }
        }
        match carry {
            9 => nines += 1,
            10 => {
                out.push(held + 1);
                out.extend(std::iter::repeat_n(0, nines));
                (held, nines) = (0, 0);
            }
            digit => {
                out.push(held);
                out.extend(std::iter::repeat_n(9, nines));
                (held, nines) = (u8::try_from(digit).unwrap_or(0), 0);
            }
        }
    }
    // The first digit held is the zero before the three.
    let text: String = out.iter().skip(1).take(digits).map(|digit| char::from(b'0' + digit)).collect();
    let (whole, rest) = text.split_at(1.min(text.len()));
    if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
}

/// ingress-nginx' controller: what it says; Ingresses are served by the cluster's own.
pub(super) async fn ingress_nginx(process: Process) -> i32 {
    let bar = "-".repeat(79);
    process
        .print(format!(
            "{bar}\nNGINX Ingress controller\n  Repository:    https://github.com/kubernetes/ingress-nginx\n  \
             nginx version: nginx/1.27.1\n\n{bar}\n"
        ))
        .await;
    until_stopped(&process, GRACEFUL, std::future::pending()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_pi_are_right() {
        assert_eq!(pi(1), "3");
        assert_eq!(pi(50), "3.1415926535897932384626433832795028841971693993751");
        // Six nines in a row, from the 762nd digit after the point.
        assert!(pi(771).ends_with("999999837"));
    }
}
