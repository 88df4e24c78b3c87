//! Tasks that go on until nobody looks any more.

use std::cell::RefCell;

use futures::future::{AbortHandle, abortable};

/// Tasks that end together, at once and with what they have open: streams of a cluster that is no longer shown.
#[derive(Default)]
pub struct Following(RefCell<Vec<AbortHandle>>);

impl Following {
    /// Starts one.
    pub fn start(&self, task: impl Future<Output = ()> + 'static) {
        let (task, end) = abortable(task);
        self.0.borrow_mut().push(end);
        wasm_bindgen_futures::spawn_local(async move {
            let _ = task.await;
        });
    }

    /// Ends them all.
    pub fn end(&self) {
        self.0.take().iter().for_each(AbortHandle::abort);
    }
}
