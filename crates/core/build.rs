//! Compresses the examples of Kubernetes' documentation.

fn main() -> std::io::Result<()> {
    pack::build::file("documentation", "src/world/examples/documentation.txt")
}
