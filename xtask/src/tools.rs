//! What the build and the tests need, installed once and kept.
//!
//! Cargo tools go into a folder of their own under the user's cache, so that a clean checkout finds
//! them and the user's own tools stay as they are. The rest comes from the distribution's packages.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::shell::{command, on_path, output, run, say};

/// A tool that cargo builds: name of the crate, its exact version, the program, and whether its own
/// lock file is used.
struct CargoTool {
    package: &'static str,
    version: &'static str,
    program: &'static str,
    locked: bool,
}

const TRUNK: CargoTool = CargoTool { package: "trunk", version: "0.21.14", program: "trunk", locked: true };

/// Must be the version of the `wasm-bindgen` library to the digit.
const WASM_BINDGEN: CargoTool =
    CargoTool { package: "wasm-bindgen-cli", version: "0.2.130", program: "wasm-bindgen", locked: false };

const CARGO_FUZZ: CargoTool =
    CargoTool { package: "cargo-fuzz", version: "0.13.2", program: "cargo-fuzz", locked: true };

/// The toolchain that builds fuzz targets: libFuzzer's instrumentation is not in the stable one.
pub const NIGHTLY: &str = "nightly";

const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Whatever builds the page: the wasm target, the standard library's source, trunk, wasm-bindgen, Node.
///
/// # Errors
/// When something cannot be installed.
pub fn for_page() -> Result<()> {
    rust_target(WASM_TARGET)?;
    rust_source()?;
    cargo_tool(&WASM_BINDGEN)?;
    cargo_tool(&TRUNK)?;
    packages(&[("node", "nodejs"), ("npm", "npm")])
}

/// Whatever measures large clusters: the wasm target, wasm-bindgen, Node and a browser.
///
/// # Errors
/// When something cannot be installed.
pub fn for_scale() -> Result<()> {
    rust_target(WASM_TARGET)?;
    cargo_tool(&WASM_BINDGEN)?;
    packages(&[("node", "nodejs"), ("npm", "npm"), ("chromium", "chromium")])
}

/// Whatever the tests need beyond the page's build: a browser and its driver, Docker, busybox.
///
/// # Errors
/// When something cannot be installed.
pub fn for_tests() -> Result<()> {
    for_binary()?;
    packages(&[
        ("chromium", "chromium"),
        ("chromedriver", "chromium-driver"),
        ("dockerd", "docker.io"),
        ("iptables", "iptables"),
        ("curl", "curl"),
        ("brotli", "brotli"),
    ])?;
    if !PathBuf::from("/bin/busybox").is_file() && !PathBuf::from("/usr/bin/busybox").is_file() {
        install(&["busybox-static"])?;
    }
    if !on_path("kubectl") {
        install(&["kubernetes-client"])?;
    }
    Ok(())
}

/// Whatever fuzzing needs: the nightly toolchain and cargo-fuzz.
///
/// # Errors
/// When something cannot be installed.
pub fn for_fuzzing() -> Result<()> {
    if output(&["rustup", "run", NIGHTLY, "rustc", "--version"]).is_none() {
        say("installing the nightly toolchain");
        run(&mut command(&["rustup", "toolchain", "install", NIGHTLY, "--profile", "minimal"]))?;
    }
    cargo_tool(&CARGO_FUZZ)
}

/// The official clients of other languages, each in the folder of its scenario.
///
/// # Errors
/// When something cannot be installed.
pub fn for_clients() -> Result<()> {
    const PYTHON: &str = "tests/clients/python";
    packages(&[("node", "nodejs"), ("npm", "npm"), ("python3", "python3")])?;
    npm("tests/clients/javascript")?;
    let folder = PathBuf::from(PYTHON).join(".venv");
    let requirements = PathBuf::from(PYTHON).join("requirements.txt");
    when_changed(&requirements, &folder.join("installed.txt"), || {
        if output(&["python3", "-c", "import ensurepip"]).is_none() {
            install(&["python3-venv"])?;
        }
        run(command(&["python3", "-m", "venv", "--clear"]).arg(&folder))?;
        let pip = ["-m", "pip", "install", "--quiet", "--requirement"];
        run(Command::new(folder.join("bin/python")).args(pip).arg(&requirements))
    })
}

/// Installs a folder's JavaScript packages as its lock file has them.
///
/// # Errors
/// When that fails.
pub fn npm(folder: &str) -> Result<()> {
    let lock = PathBuf::from(folder).join("package-lock.json");
    when_changed(&lock, &PathBuf::from(folder).join("node_modules/.installed-lock.json"), || {
        run(command(&["npm", "ci", "--no-audit", "--no-fund"]).current_dir(folder))
    })
}

/// Installs what a lock file says, unless that has been done since it changed.
fn when_changed(lock: &Path, stamp: &Path, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = fs::read(lock).with_context(|| format!("cannot read {}", lock.display()))?;
    if fs::read(stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    say(format!("installing what {} lists", lock.display()));
    install()?;
    fs::write(stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Every crate in the lock file, and the standard library's where it is built too (by these variables of the
/// environment): Trunk passes its `--offline`, by which it looks for no tools of its own, on to cargo.
///
/// # Errors
/// When one is missing and cannot be downloaded.
pub fn crates(environment: &[(&str, &str)]) -> Result<()> {
    let fetch = |more: &[&str]| {
        let mut fetch = command(&["cargo", "fetch", "--locked"]);
        fetch.args(more).envs(environment.iter().copied());
        fetch
    };
    // The standard library's crates come for the named target alone, the workspace's for every target where none is.
    for target in [&[][..], &["--target", WASM_TARGET]] {
        let offline = [target, &["--quiet", "--offline"]].concat();
        if !fetch(&offline).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            run(&mut fetch(target))?;
        }
    }
    Ok(())
}

/// The PATH with the kept tools in front.
pub fn path() -> OsString {
    let own = [&WASM_BINDGEN, &TRUNK, &CARGO_FUZZ].map(|tool| folder(tool).join("bin"));
    let rest = env::var_os("PATH").unwrap_or_default();
    env::join_paths(own.into_iter().chain(env::split_paths(&rest))).unwrap_or(rest)
}

fn rust_target(name: &str) -> Result<()> {
    let installed = output(&["rustc", "--print", "target-libdir", "--target", name])
        .is_some_and(|folder| PathBuf::from(folder).is_dir());
    if installed {
        return Ok(());
    }
    say(format!("installing the Rust target {name}"));
    run(&mut command(&["rustup", "target", "add", name]))
}

/// The standard library's source, of which the page has its own build.
fn rust_source() -> Result<()> {
    let library = "lib/rustlib/src/rust/library/Cargo.lock";
    if output(&["rustc", "--print", "sysroot"]).is_some_and(|folder| PathBuf::from(folder).join(library).is_file()) {
        return Ok(());
    }
    say("installing the Rust component rust-src");
    run(&mut command(&["rustup", "component", "add", "rust-src"]))
}

/// The target of the program for the cluster's own containers, which is in the binary.
///
/// # Errors
/// When it cannot be installed.
pub fn for_binary() -> Result<()> {
    rust_target(&static_target())
}

/// The target of static programs.
pub fn static_target() -> String {
    format!("{}-unknown-linux-musl", env::consts::ARCH)
}

/// Whatever the static binary needs: its target, and a C compiler for it (ring).
///
/// # Errors
/// When something cannot be installed.
pub fn for_dist() -> Result<()> {
    for_binary()?;
    packages(&[("musl-gcc", "musl-tools")])
}

/// The folder of a kept tool: one for each version.
fn folder(tool: &CargoTool) -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    cache
        .unwrap_or_else(|| PathBuf::from(".tools"))
        .join("playground")
        .join(format!("{}-{}", tool.package, tool.version))
}

fn cargo_tool(tool: &CargoTool) -> Result<()> {
    let kept = folder(tool).join("bin").join(tool.program);
    let right_version = |program: &str| {
        output(&[program, "--version"]).is_some_and(|text| text.split_whitespace().any(|word| word == tool.version))
    };
    if right_version(&kept.to_string_lossy()) {
        return Ok(());
    }
    if right_version(tool.program) {
        return Ok(());
    }
    say(format!("building {} {} (some minutes, once)", tool.package, tool.version));
    let mut install = command(&["cargo", "install", tool.package, "--version", tool.version, "--force", "--root"]);
    install.arg(folder(tool));
    if tool.locked {
        install.arg("--locked");
    }
    // A tool's build is its own: not this workspace's toolchain target folder, not its flags.
    install.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    run(&mut install).with_context(|| format!("cannot install {}", tool.package))
}

/// Installs the Debian packages of those programs that are missing.
fn packages(wanted: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|(program, _)| !installed(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

/// Daemons live outside an ordinary user's PATH.
fn installed(program: &str) -> bool {
    on_path(program) || ["/usr/sbin", "/sbin"].iter().any(|folder| PathBuf::from(folder).join(program).is_file())
}

fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !on_path("apt-get") {
        bail!("please install {list} with this system's package manager, then try again");
    }
    let root = output(&["id", "-u"]).as_deref() == Some("0");
    if !root && !on_path("sudo") {
        bail!("please install as root: apt-get install {list}");
    }
    say(format!("installing {list}"));
    let prefix: &[&str] = if root { &[] } else { &["sudo"] };
    let apt = |words: &[&str]| -> Result<()> {
        let words: Vec<&str> = prefix.iter().chain(words).copied().collect();
        run(command(&words).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["apt-get", "update", "-q"])?;
    let mut words = vec!["apt-get", "install", "-y", "-q", "--no-install-recommends"];
    words.extend(packages);
    apt(&words)
}
