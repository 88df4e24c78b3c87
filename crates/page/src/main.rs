//! The page.

fn main() {
    playground_page::text::start();
    yew::Renderer::<playground_page::ui::app::App>::new().render();
}
