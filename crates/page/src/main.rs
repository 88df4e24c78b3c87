//! The page.

fn main() {
    yew::Renderer::<playground_page::ui::app::App>::new().render();
}
