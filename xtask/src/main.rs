//! `cargo xtask serve | test | lint | bench | fuzz | dist | page | screenshot`: everything that needs more than one
//! tool. Installs what is missing, says so, and keeps it.

mod bench;
mod docker;
mod fuzz;
mod lessons;
mod lint;
mod page;
mod serve;
mod shell;
mod split;
mod test;
mod tools;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Build, serve, test and measure playground")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the page and the binary, then run `playground serve`; further arguments go to it
    Serve {
        /// Arguments of `playground serve`, such as --runtime docker --nodes 3
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run every test: native, headless WebAssembly, browser, real kubectl, real Docker
    Test {
        /// Run only these parts
        #[arg(value_enum)]
        only: Vec<test::Part>,
    },
    /// Check formatting, clippy, documentation and licences
    Lint,
    /// Measure sizes, start-up time, memory and idle load; with `scale`, large clusters; with `docker`, real containers
    Bench {
        /// What to measure
        #[arg(value_enum)]
        what: Option<bench::What>,
    },
    /// Throw hostile input at whatever reads a stranger's bytes
    Fuzz {
        /// Only these of the targets in fuzz/targets
        only: Vec<String>,
        /// How long each is run
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Build the binary that users get: static, small, with the page in it
    Dist,
    /// Build the static page into dist/
    Page,
    /// Cut the built Worker into chunks (Trunk calls this)
    #[command(hide = true)]
    Split,
    /// Compile the lessons into a folder, as Trunk does for the page
    Lessons {
        /// Where they go
        folder: std::path::PathBuf,
    },
    /// Take the README's screenshots from the built page
    Screenshot,
}

fn main() -> anyhow::Result<()> {
    std::env::set_current_dir(shell::root())?;
    match Cli::parse().task {
        Task::Serve { arguments } => serve::run(&arguments),
        Task::Test { only } => test::run(&only),
        Task::Lint => lint::run(),
        Task::Bench { what } => bench::run(what),
        Task::Fuzz { only, seconds } => fuzz::run_targets(&only, seconds),
        Task::Dist => serve::dist(),
        Task::Page => page::build(),
        Task::Split => split::run_hook(),
        Task::Lessons { folder } => lessons::build(&folder),
        Task::Screenshot => page::screenshot(),
    }
}
