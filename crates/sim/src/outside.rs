//! What there is of the world outside: the few pages that documents let pods fetch.

use std::future::ready;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::network::http::{self, Response};
use crate::network::{InterfaceConfig, Network, Party};
use crate::x509::Certificate;

/// Who has signed the certificates of the world outside: everybody trusts it.
pub const AUTHORITY: &str = "C=US; O=Playground; CN=Playground Public Root";
/// What answers a host and a path there; nothing is 404.
pub type Pages = Rc<dyn Fn(&str, &str) -> LocalBoxFuture<'static, Option<String>>>;

/// A host by its names, its address, and its page.
const HOSTS: [(&[&str], Ipv4Addr, &str); 2] = [
    (
        &["info.cern.ch"],
        Ipv4Addr::new(188, 184, 67, 127),
        "<html><head></head><body><header>\n<title>http://info.cern.ch</title>\n</header>\n\n\
         <h1>http://info.cern.ch - home of the first website</h1>\n\
         <p>This page is a stand-in: the playground has no way to the world outside.</p>\n</body></html>\n",
    ),
    (
        &["example.com", "www.example.com"],
        Ipv4Addr::new(93, 184, 215, 14),
        "<!doctype html>\n<html>\n<head>\n    <title>Example Domain</title>\n</head>\n<body>\n    <h1>Example Domain</h1>\n\
         </body>\n</html>\n",
    ),
];

/// Puts these hosts into a network, for as long as it is there.
pub fn join(network: &Network) {
    for (names, address, page) in HOSTS {
        host(network, names, address, Rc::new(move |_: &str, _: &str| ready(Some(page.to_owned())).boxed_local()));
    }
}

/// Puts a host into a network: its names, its address, and what it answers, by host and path, with and without TLS.
pub fn host(network: &Network, names: &[&str], address: Ipv4Addr, pages: Pages) {
    let config = InterfaceConfig { addresses: vec![address.into()], ..InterfaceConfig::default() };
    let name = names.first().copied().unwrap_or_default();
    let interface = network.attach(Party::Host(name.to_owned()), config);
    for name in names {
        network.add_name(name, IpAddr::V4(address));
    }
    let certificate = Rc::new(Certificate {
        subject: format!("CN={name}"),
        issuer: AUTHORITY.into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        not_before: "20260101000000Z".into(),
        not_after: "20991231235959Z".into(),
    });
    for port in [80, 443] {
        let Ok((_, listener)) = interface.listen(port) else { continue };
        let certificate = certificate.clone();
        let listener = match port {
            443 => listener.with_tls(Rc::new(move |_: &str| Some(certificate.clone()))),
            _ => listener,
        };
        let (interface, pages) = (interface.clone(), pages.clone());
        network.executor().spawn(async move {
            // The namespace is there as long as somebody has it.
            let _interface = interface;
            http::serve(&listener, move |request, _| {
                let host = request.header("Host").unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
                let page = pages(&host, request.path());
                async move {
                    match page.await {
                        Some(page) if page.starts_with('<') => Response::new(200, "text/html", page),
                        Some(page) => Response::new(200, "text/plain; charset=utf-8", page),
                        None => Response::new(404, "text/plain; charset=utf-8", "404: Not Found\n"),
                    }
                }
            })
            .await;
        });
    }
}
