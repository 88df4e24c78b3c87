//! What the end-to-end tests share: a server of their own, the machine's kubectl, and waiting for what
//! is to become true.

pub mod browser;
pub mod daemon;

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use daemon::Daemon;

/// How long anything may take to become true.
const PATIENCE: Duration = Duration::from_secs(60);

/// The top of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The binary under test: the release build, or what `PLAYGROUND_BINARY` names.
pub fn binary() -> PathBuf {
    std::env::var_os("PLAYGROUND_BINARY").map_or_else(|| root().join("target/release/playground"), PathBuf::from)
}

/// A manifest of the seed documents, as the learner's machine has it.
pub fn manifest(name: &str) -> String {
    root().join("www/lessons/files").join(name).to_string_lossy().into_owned()
}

/// A port of those that Services may have, which nobody has on this machine as long as this lives. Tests that run
/// beside each other look from different places on.
///
/// # Panics
/// When all are taken.
pub fn node_port() -> TcpListener {
    const FIRST: u32 = 30_000;
    const COUNT: u32 = 2768;
    let from = std::process::id();
    let mut ports = (0..COUNT).filter_map(|next| u16::try_from(FIRST + from.wrapping_add(next) % COUNT).ok());
    ports.find_map(|port| TcpListener::bind(("0.0.0.0", port)).ok()).expect("a free port")
}

/// The number of a port that is held.
///
/// # Panics
/// Never: what listens has an address.
pub fn port_of(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("an address").port()
}

/// Waits until `probe` gives something.
///
/// # Panics
/// When that does not happen.
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe)
}

/// Waits so long until `probe` gives something.
///
/// # Panics
/// When that does not happen.
pub fn within<T>(patience: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "this did not come true: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A `playground serve` with a data directory and a port of its own; killed when dropped.
pub struct Server {
    child: Child,
    arguments: Vec<String>,
    folder: TempDir,
    /// Docker's address, where it is not the machine's own.
    docker_host: Option<String>,
}

impl Server {
    /// Starts the release binary with further arguments, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, None, TempDir::new().expect("a temporary folder"))
    }

    /// Starts it on a Docker daemon of the test's own.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_on(daemon: &Daemon, arguments: &[&str]) -> Self {
        Self::start_with(arguments, Some(daemon.host()), TempDir::new().expect("a temporary folder"))
    }

    /// Starts it in a folder.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_with(arguments: &[&str], docker_host: Option<String>, folder: TempDir) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = Self::spawn(&folder, &arguments, docker_host.as_deref());
        let server = Self { child, arguments, folder, docker_host };
        server.wait_until_ready();
        server
    }

    fn spawn(folder: &TempDir, arguments: &[String], docker_host: Option<&str>) -> Child {
        let log = File::options().create(true).append(true).open(folder.path().join("log")).expect("a log file");
        Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path().join("data"))
            .arg("--kubeconfig")
            .arg(folder.path().join("kubeconfig"))
            .args(arguments)
            .envs(docker_host.map(|host| ("DOCKER_HOST", host)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("target/release/playground: build it with `cargo xtask test`")
    }

    fn wait_until_ready(&self) {
        let kubeconfig = self.kubeconfig();
        let deadline = Instant::now() + PATIENCE;
        while !kubeconfig.exists() {
            assert!(Instant::now() < deadline, "the server is not ready; it said: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The file by which clients find the server.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Where the server keeps its data.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Applies manifests.
    ///
    /// # Panics
    /// When that fails.
    pub fn apply(&self, manifests: &str) {
        let file = self.folder.path().join("manifests.yaml");
        std::fs::write(&file, manifests).expect("a file");
        self.ok(&format!("apply -f {}", file.display()));
    }

    /// What the server has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The page's address, with its token.
    ///
    /// # Panics
    /// When the server has printed none.
    pub fn page(&self) -> String {
        let log = self.log();
        let address = log.split_whitespace().find(|word| word.starts_with("http://"));
        address.unwrap_or_else(|| panic!("no page in: {log}")).to_owned()
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server as Ctrl-C does, and waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn interrupt(&mut self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the server was gone already: {}", self.log());
        eventually("the server ends", || self.child.try_wait().ok().flatten());
    }

    /// Kills the server without a chance to do anything.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts an ended server again, on its data.
    pub fn start_again(&mut self) {
        let _ = std::fs::remove_file(self.folder.path().join("kubeconfig"));
        self.child = Self::spawn(&self.folder, &self.arguments, self.docker_host.as_deref());
        self.wait_until_ready();
    }

    /// Ends the server and deletes its cluster, which leaves nothing in Docker.
    ///
    /// # Panics
    /// When something is left.
    pub fn delete_cluster(&mut self) {
        self.interrupt();
        let own = format!("label=playground.data-dir={}", self.data_dir().join("volumes").display());
        self.playground(&["delete", "cluster"]);
        assert!(!self.data_dir().exists());
        assert_eq!(self.docker(&["ps", "--all", "--quiet", "--filter", &own]), "");
        assert_eq!(self.docker(&["network", "ls", "--quiet", "--filter", &own]), "");
        assert_eq!(self.docker(&["volume", "ls", "--quiet", "--filter", &own]), "");
    }

    /// What a command about this cluster prints, which succeeds.
    ///
    /// # Panics
    /// When it fails.
    pub fn playground(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--data-dir").arg(self.data_dir()).env("HOME", self.folder.path());
        command.env("KUBECONFIG", self.kubeconfig());
        let output = command.envs(self.docker_host.as_ref().map(|host| ("DOCKER_HOST", host))).output();
        let output = output.expect("playground");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The output of a Docker line that succeeds, at this server's Docker.
    ///
    /// # Panics
    /// When it fails.
    pub fn docker(&self, arguments: &[&str]) -> String {
        docker_at(self.docker_host.as_deref(), arguments)
    }

    /// The machine's kubectl with these arguments, to be run against this server.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .args(arguments)
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("HOME", self.folder.path());
        command
    }

    /// Runs the machine's kubectl with the words of a line.
    ///
    /// # Panics
    /// When there is no kubectl.
    pub fn kubectl(&self, line: &str) -> Output {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.command(&words).output().expect("kubectl on this machine")
    }

    /// The standard output of a kubectl line that succeeds.
    ///
    /// # Panics
    /// When it fails.
    pub fn ok(&self, line: &str) -> String {
        let output = self.kubectl(line);
        let (stdout, stderr) = texts(&output);
        assert!(output.status.success(), "kubectl {line}\n{stdout}{stderr}\nserver: {}", self.log());
        stdout
    }

    /// The exit code and standard error of a kubectl line that fails.
    ///
    /// # Panics
    /// When it succeeds.
    pub fn fails(&self, line: &str) -> (i32, String) {
        let output = self.kubectl(line);
        let (stdout, stderr) = texts(&output);
        assert!(!output.status.success(), "kubectl {line} should fail\n{stdout}{stderr}");
        (output.status.code().unwrap_or(-1), stderr)
    }

    /// Waits until a kubectl line prints what is wanted.
    ///
    /// # Panics
    /// When it does not.
    pub fn until(&self, line: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.until_within(PATIENCE, line, wanted)
    }

    /// Waits so long until a kubectl line prints what is wanted.
    ///
    /// # Panics
    /// When it does not.
    pub fn until_within(&self, patience: Duration, line: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + patience;
        loop {
            let output = self.kubectl(line);
            let (stdout, stderr) = texts(&output);
            if output.status.success() && wanted(&stdout) {
                return stdout;
            }
            let last = if stdout.is_empty() { stderr } else { stdout };
            assert!(Instant::now() < deadline, "kubectl {line} still prints:\n{last}\nserver: {}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The body of an HTTP answer by the machine's curl, if there is one.
pub fn curl(url: &str) -> Option<String> {
    let output =
        Command::new("curl").args(["--silent", "--show-error", "--fail", "--max-time", "5", url]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first column of a table's lines, without its head.
pub fn names(table: &str) -> Vec<String> {
    table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// The output of a Docker line that succeeds.
///
/// # Panics
/// When it fails.
pub fn docker(arguments: &[&str]) -> String {
    docker_at(None, arguments)
}

/// The output of a Docker line that succeeds, at the machine's Docker or another.
///
/// # Panics
/// When it fails.
pub fn docker_at(host: Option<&str>, arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    let output = command.args(arguments).envs(host.map(|host| ("DOCKER_HOST", host))).output().expect("docker");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An image whose command is a shell line, made of nothing but busybox.
///
/// # Panics
/// When it cannot be made.
pub fn image(name: &str, line: &str) {
    image_at(None, name, line);
}

/// Such an image at the machine's Docker or another.
///
/// # Panics
/// When it cannot be made.
pub fn image_at(host: Option<&str>, name: &str, line: &str) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| std::fs::exists(path).unwrap_or(false));
    let bin = folder.path().join("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    std::fs::create_dir_all(folder.path().join("tmp")).expect("a folder");
    std::fs::copy(busybox.expect("busybox-static"), bin.join("busybox")).expect("busybox");
    let applets =
        ["sh", "echo", "sleep", "httpd", "date", "cat", "mkdir", "hostname", "kill", "wget", "nslookup", "nc", "yes"];
    for applet in applets {
        std::os::unix::fs::symlink("busybox", bin.join(applet)).expect("a link");
    }
    let archive = Command::new("tar").args(["-C"]).arg(folder.path()).args(["-c", "."]).output().expect("tar");
    let command = format!("CMD [\"/bin/sh\", \"-c\", {line:?}]");
    let mut import = Command::new("docker")
        .args(["import", "--change", &command, "-", name])
        .envs(host.map(|host| ("DOCKER_HOST", host)))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("docker import");
    import.stdin.take().expect("its input").write_all(&archive.stdout).expect("an archive to import");
    assert!(import.wait().expect("docker import").success());
}
