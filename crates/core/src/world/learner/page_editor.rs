//! The page's editor, beside the learner's terminal: files go to it and come back on a channel of their own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use futures::FutureExt;
use futures::channel::{mpsc, oneshot};
use machinery::wire::Frame;
use sim::tty::{Edited, Tty};

use crate::control::{EDITOR, EditorFile, EditorWord};

/// The terminal's side of it.
#[derive(Clone)]
pub(super) struct PageEditor(Rc<Shared>);

struct Shared {
    to_page: mpsc::UnboundedSender<Frame>,
    files: Cell<u32>,
    /// Who waits for a file, by its number.
    waiting: RefCell<Vec<(u32, oneshot::Sender<Edited>)>>,
}

impl PageEditor {
    /// One to which frames go this way. The page has to say that it has an editor.
    pub(super) fn new(to_page: mpsc::UnboundedSender<Frame>) -> Self {
        Self(Rc::new(Shared { to_page, files: Cell::default(), waiting: RefCell::default() }))
    }

    /// Hears the page; what is no word of it is passed over.
    pub(super) fn hear(&self, data: &[u8], tty: &Tty) {
        let (id, edited) = match serde_json::from_slice(data) {
            Ok(EditorWord::Ready) => {
                let editor = self.clone();
                return tty.set_editor(Rc::new(move |name, text| editor.clone().edit(name, text).boxed_local()));
            }
            Ok(EditorWord::Saved { id, text }) => (id, Edited::Saved(text)),
            Ok(EditorWord::Cancelled { id }) => (id, Edited::Cancelled),
            Ok(EditorWord::Unavailable { id }) => (id, Edited::Unavailable),
            Err(_) => return,
        };
        let mut waiting = self.0.waiting.borrow_mut();
        if let Some(at) = waiting.iter().position(|(of, _)| *of == id) {
            // Who waited may have been killed.
            let _ = waiting.swap_remove(at).1.send(edited);
        }
    }

    /// The page is gone: nobody waits for it any longer.
    pub(super) fn hang_up(&self) {
        self.0.waiting.borrow_mut().clear();
    }

    async fn edit(self, name: String, text: String) -> Edited {
        let id = self.0.files.get().wrapping_add(1);
        self.0.files.set(id);
        let Ok(data) = serde_json::to_vec(&EditorFile { id, name, text }) else { return Edited::Unavailable };
        let (answer, answered) = oneshot::channel();
        self.0.waiting.borrow_mut().push((id, answer));
        let frame = Frame { channel: EDITOR, data: Some(Bytes::from(data)) };
        if self.0.to_page.unbounded_send(frame).is_err() {
            return Edited::Unavailable;
        }
        answered.await.unwrap_or(Edited::Cancelled)
    }
}
