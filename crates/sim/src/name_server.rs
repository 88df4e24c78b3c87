//! A name server that is no pod: for networks without a cluster's add-ons.

use std::net::IpAddr;

use machinery::ObjectKey;
use machinery::random::Rng;
use proxy::SharedTables;

use crate::fs::{Fs, Tree};
use crate::io::Fd;
use crate::network::{InterfaceConfig, Network, Party};
use crate::process::{Environment, Machine, MachineConfig, Spawn};
use crate::programs::{self, servers::coredns::COREFILE};

const CONFIGURATION: &str = "/etc/coredns/Corefile";

/// Lets CoreDNS run at an address, with the configuration of a new cluster.
pub fn run(network: &Network, address: IpAddr, tables: &SharedTables, rng: Rng) {
    let executor = network.executor().clone();
    let interface = network.attach(
        Party::Pod(ObjectKey::new("kube-system", "coredns")),
        InterfaceConfig { addresses: vec![address], tables: Some(tables.clone()), ..InterfaceConfig::default() },
    );
    let now = executor.now();
    let fs = Fs::new(Tree::new(now).share(), false);
    // A fresh file system takes it.
    let _ = fs.create_dir_all(crate::fs::parent(CONFIGURATION), now);
    let _ = fs.write(CONFIGURATION, COREFILE, now);
    let machine = Machine::new(MachineConfig {
        executor,
        fs,
        interface,
        hostname: "coredns".into(),
        first_pid: 1,
        memory_bytes_max: None,
        cpu_nano_cores_max: None,
        groups: None,
        rng,
    });
    let Some(program) = programs::find("coredns") else { return };
    let fds = [0, 1, 2].map(|number| (number, Fd::null()));
    machine.spawn(Spawn {
        program,
        args: ["coredns", "-conf", CONFIGURATION].map(str::to_owned).into(),
        env: Environment::default(),
        cwd: "/".into(),
        uid: 0,
        gid: 0,
        fds: fds.into(),
        parent: 0,
        group: None,
    });
}
