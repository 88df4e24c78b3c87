//! The Worker.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use machinery::Timestamp;
use machinery::wire::{Body, Request, Response};
use playground_web::worker::{Machine, listen};

fn main() {
    listen(|_| Empty);
}
struct Empty;
impl Machine for Empty {
    fn handle(&self, _: Request) -> LocalBoxFuture<'static, Response> {
        async { Response::new(Body::empty()) }.boxed_local()
    }
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(1)
    }
    fn step(&self, _: Timestamp) -> bool {
        false
    }
    fn next_timer(&self) -> Option<Timestamp> {
        None
    }
    fn has_ready(&self) -> bool {
        false
    }
    fn on_wake(&self, _: fn()) {}
}
