//! The page.

fn main() {
    yew::Renderer::<playground_web::ui::app::App>::new().render();
}
