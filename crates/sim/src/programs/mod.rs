//! Programs: what `/bin` holds, and the servers that images run.

pub mod servers;

use std::rc::Rc;

use futures::future::LocalBoxFuture;

use crate::process::{Process, Program};

/// A program's main function.
pub type Main = fn(Process) -> LocalBoxFuture<'static, i32>;

/// Tools by name: the same in containers and on the learner's computer.
const TOOLS: &[(&str, Main)] = &[];

/// A built-in program by the name its executables carry ([`crate::fs::Kind::Program`]).
pub fn find(name: &str) -> Option<Rc<dyn Program>> {
    let table = [TOOLS, servers::SERVERS];
    let main = table.iter().flat_map(|table| table.iter()).find(|(known, _)| *known == name).map(|(_, main)| *main)?;
    Some(Rc::new(main))
}

/// Names of all tools.
pub fn tool_names() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|(name, _)| *name)
}

/// Becomes another program, as `exec` does: same process, other arguments.
pub async fn exec(mut process: Process, command: Vec<String>) -> i32 {
    match process.machine.find(&command, &process.env, &process.cwd) {
        Ok(found) => {
            process.args = found.args;
            found.program.run(process).await
        }
        Err(error) => {
            let name = command.into_iter().next().unwrap_or_default();
            process.fail(127, format!("exec: {name}: {error}")).await
        }
    }
}
