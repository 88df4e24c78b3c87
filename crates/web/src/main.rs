//! The Worker.

fn main() -> Result<(), wasm_bindgen::JsValue> {
    playground_web::listen()
}
