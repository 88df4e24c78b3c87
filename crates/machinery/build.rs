//! Compresses the definitions of the built-in kinds.

fn main() -> std::io::Result<()> {
    pack::build::file("openapi", "data/openapi.json")
}
