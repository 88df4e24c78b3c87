//! kubectl's command line, and its completion, against an API server; standard input is the second line.
#![no_main]

#[path = "../../crates/kubectl/tests/kubectl/common/mod.rs"]
mod common;

use std::cell::RefCell;

use futures::FutureExt;

thread_local! {
    static WORLD: RefCell<(common::World, u32)> = RefCell::new((common::World::new(), 0));
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (line, input) = text.split_once('\n').unwrap_or((text, ""));
    let Some(words) = shlex::split(line) else { return };
    WORLD.with_borrow_mut(|(world, uses)| {
        *uses += 1;
        if *uses > 1000 {
            (*world, *uses) = (common::World::new(), 0);
        }
        *world.stdin.borrow_mut() = input.as_bytes().to_vec();
        let _ = playground_kubectl::run(&words, world).now_or_never();
        world.complete(line);
    });
});
