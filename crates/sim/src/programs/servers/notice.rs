//! News of a server's own, for those of its clients who wait for them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Who waits for something to change. It costs nothing while nothing does.
#[derive(Default)]
pub(super) struct Notice {
    /// By ticket, in their order.
    waiting: RefCell<Vec<(u64, Waker)>>,
    tickets: Cell<u64>,
}

/// The place of one who waits, which is free once it has found what it waits for, or has given up.
struct Ticket<'a>(&'a Notice, u64);

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.borrow_mut();
        if let Ok(at) = waiting.binary_search_by_key(&self.1, |(ticket, _)| *ticket) {
            waiting.remove(at);
        }
    }
}

impl Notice {
    /// Something has changed.
    pub(super) fn changed(&self) {
        self.waiting.borrow().iter().for_each(|(_, waker)| waker.wake_by_ref());
    }

    /// Waits until a look finds what it looks for.
    pub(super) async fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        let ticket = Ticket(self, self.tickets.replace(self.tickets.get() + 1));
        poll_fn(|cx| match look() {
            Some(found) => Poll::Ready(found),
            None => {
                let mut waiting = self.waiting.borrow_mut();
                match waiting.binary_search_by_key(&ticket.1, |(known, _)| *known) {
                    Ok(at) => {
                        if let Some((_, waker)) = waiting.get_mut(at) {
                            waker.clone_from(cx.waker());
                        }
                    }
                    Err(at) => waiting.insert(at, (ticket.1, cx.waker().clone())),
                }
                Poll::Pending
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    #[test]
    fn who_gives_up_leaves_nothing_behind() {
        let notice = Notice::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut stays = Box::pin(notice.until(|| None::<()>));
        assert!(stays.as_mut().poll(&mut cx).is_pending());
        for _ in 0..3 {
            let gives_up = pin!(notice.until(|| None::<()>));
            assert!(gives_up.poll(&mut cx).is_pending());
            assert!(notice.waiting.borrow().len() <= 4);
        }
        assert_eq!(notice.waiting.borrow().len(), 1);
        drop(stays);
        assert!(notice.waiting.borrow().is_empty());
    }
}
