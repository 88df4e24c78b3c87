//! Compresses the table of protobuf's fields.

fn main() -> std::io::Result<()> {
    pack::build::file("protobuf", "data/protobuf.txt")
}
